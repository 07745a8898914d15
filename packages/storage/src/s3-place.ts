/** Reads the URL. Throws what is wrong with it, never repeating what may be a secret in it. */
export function placeIn(url: URL): BucketPlace {
  const wrong = (what: string) => new Error(`STORAGE_URL: ${what}, such as ${example}`)
  if (url.username || url.password) {
    throw wrong('credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; name only the bucket')
  }
  const bucket = url.hostname
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw wrong('name a bucket')
  const prefix = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '')
  const unknown = [...url.searchParams.keys()].find((name) => !settings.has(name))
  if (unknown !== undefined) throw wrong(`"${unknown}" is none of ${[...settings].join(', ')}`)

  const endpoint = url.searchParams.get('endpoint') ?? undefined
  if (endpoint !== undefined && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? '')) {
    throw wrong('endpoint must be an http or https URL')
  }
  const style = url.searchParams.get('path_style')
  if (style !== null && style !== 'true' && style !== 'false') throw wrong('path_style is true or false')
  return {
    name: `s3://${bucket}${prefix && `/${prefix}`}`,
    bucket,
    prefix: prefix && `${prefix}/`,
    endpoint,
    // Every server has some region, and most do not care how it is called.
    region: url.searchParams.get('region') ?? (endpoint === undefined ? undefined : 'us-east-1'),
    pathStyle: style === null ? endpoint !== undefined : style === 'true',
  }
}

const settings: ReadonlySet<string> = new Set(['region', 'endpoint', 'path_style'])
const example = 's3://bucket/prefix?region=eu-central-1&endpoint=https://s3.example.com'

/** Where a bucket is and how it is asked. */
export interface BucketPlace {
  /** For messages. */
  name: string
  bucket: string
  /** Empty, or ends with a slash. */
  prefix: string
  endpoint: string | undefined
  region: string | undefined
  pathStyle: boolean
}
