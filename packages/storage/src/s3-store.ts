import { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { type BucketPlace, placeIn } from './s3-place.ts'
import type { FileStore, Kept } from './store.ts'

/**
 * A store in a bucket: `s3://bucket/prefix?region=eu-central-1`, or with `endpoint=http://…` at any server that speaks
 * S3. Credentials are found the way every AWS client finds them: AWS_* of the environment, a profile, the machine's role.
 */
export function openBucket(url: URL): FileStore {
  const place = placeIn(url)
  const { bucket, prefix } = place
  // Loaded with the first use: whoever keeps files in a folder does not wait for it at every start.
  let opened: Promise<Opened> | undefined
  const open = () => {
    opened ??= connect(place)
    return opened
  }
  const keyOf = (id: string) => {
    if (!/^[a-z0-9_-]{3,80}$/.test(id)) throw new Error('This is not the id of a stored file')
    return prefix + id
  }

  return {
    async write(id, source) {
      const Key = keyOf(id)
      const bytes = source instanceof Readable ? source : Readable.from([Buffer.from(source)])
      bytes.on('error', () => {}) // it may fail before the first part is read; the upload finds out
      const { client, Upload } = await open()
      const counted: Counted = { bytes: 0 }
      const upload = new Upload({
        client,
        params: { Bucket: bucket, Key, Body: Readable.from(counting(bytes, counted)) },
        partSize,
        queueSize: partsAtOnce,
      })
      // Not a name before every byte is there: an upload that fails leaves no object, and its parts are removed.
      await upload.done().catch((error: unknown) => {
        // What broke the source, rather than what became of the parts then.
        throw counted.error ?? error
      })
      return counted.bytes
    },

    async open(id, range) {
      const { client, sdk } = await open()
      const Range = range && `bytes=${range.start}-${range.end}`
      const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: keyOf(id), Range })
      const found = await client.send(command).catch(undefinedIfMissing)
      if (found === undefined) return undefined
      if (!(found.Body instanceof Readable)) throw new Error('The bucket answered without a body')
      return found.Body
    },

    async size(id) {
      const { client, sdk } = await open()
      const command = new sdk.HeadObjectCommand({ Bucket: bucket, Key: keyOf(id) })
      return (await client.send(command).catch(undefinedIfMissing))?.ContentLength
    },

    async remove(id) {
      const { client, sdk } = await open()
      await client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key: keyOf(id) }))
    },

    async removeMany(ids) {
      const { client, sdk } = await open()
      const kept: Kept[] = []
      for (let at = 0; at < ids.length; at += deletedAtOnce) {
        const Objects = ids.slice(at, at + deletedAtOnce).map((id) => ({ Key: keyOf(id) }))
        const command = new sdk.DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } })
        for (const { Key = '', Code = '' } of (await client.send(command)).Errors ?? []) {
          if (Code !== 'NoSuchKey') kept.push({ id: Key.slice(prefix.length), why: Code })
        }
      }
      return kept
    },

    async walk(part = '', before) {
      const { client, sdk } = await open()
      if (part === '') await removeUnfinished(await open(), place, before)
      const found = await client.send(
        new sdk.ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          MaxKeys: listedAtOnce,
          ...(part === '' ? {} : { StartAfter: prefix + part }),
        }),
      )
      const objects = found.Contents ?? []
      const last = objects.at(-1)?.Key?.slice(prefix.length)
      return {
        ids: objects.flatMap(({ Key = '', LastModified }) =>
          LastModified && LastModified < before ? [Key.slice(prefix.length)] : [],
        ),
        next: found.IsTruncated ? last : undefined,
      }
    },

    async check() {
      try {
        const { client, sdk } = await open()
        await client.send(new sdk.ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 }))
      } catch (error) {
        throw new Error(`STORAGE_URL: ${explain(place, error)}`, { cause: error })
      }
    },
  }
}

async function connect({ endpoint, region, pathStyle }: BucketPlace): Promise<Opened> {
  const [sdk, { Upload }] = await Promise.all([import('@aws-sdk/client-s3'), import('@aws-sdk/lib-storage')])
  const agent = { keepAlive: true, maxSockets: connections }
  const client = new sdk.S3Client({
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    forcePathStyle: pathStyle,
    maxAttempts: 4,
    retryMode: 'standard',
    // Until the head of the answer: how slowly somebody reads a file is not the bucket's fault.
    requestHandler: {
      connectionTimeout: 5_000,
      requestTimeout: 120_000,
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
    // The signature covers the bytes; not every server knows the newer checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  return { sdk, Upload, client }
}

async function* counting(source: Readable, counted: Counted): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of source) {
      const bytes = Buffer.from(chunk)
      counted.bytes += bytes.length
      yield bytes
    }
  } catch (error) {
    counted.error = error
    throw error
  }
}

/** What killed processes were uploading: no name leads to it. Not every server lists that; the bucket's own rules may. */
async function removeUnfinished(
  { client, sdk }: Opened,
  { bucket, prefix }: BucketPlace,
  before: Date,
): Promise<void> {
  const list = new sdk.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix })
  const { Uploads = [] } = await client.send(list).catch(() => ({ Uploads: [] }))
  for (const { Key, UploadId, Initiated } of Uploads) {
    if (!Initiated || Initiated >= before) continue
    const abort = new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId })
    await client.send(abort).catch(undefinedIfMissing)
  }
}

function undefinedIfMissing(error: unknown): undefined {
  if (!(error instanceof Error && missing.has(error.name))) throw error
}

function explain({ name, endpoint }: BucketPlace, error: unknown): string {
  const { name: code, message } = error instanceof Error ? error : new Error(String(error))
  const why = reasons[code] ?? `${message || code}`
  return `the bucket ${name}${endpoint === undefined ? '' : ` at ${endpoint}`} cannot be used: ${why}`
}

const reasons: Record<string, string> = {
  NoSuchBucket: 'there is no such bucket; make it first',
  AccessDenied: 'these credentials may not list it; they need to list, read, write and delete',
  InvalidAccessKeyId: 'it does not know this AWS_ACCESS_KEY_ID',
  SignatureDoesNotMatch: 'AWS_SECRET_ACCESS_KEY is not the one of this AWS_ACCESS_KEY_ID',
  CredentialsProviderError: 'there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
  PermanentRedirect: 'it is in another region; name it with ?region=',
}

/** S3 takes 10,000 parts of one file, so that a file may have 80 GB. An upload holds two parts in memory. */
const partSize = 8 * 1024 * 1024
const partsAtOnce = 2

/** The most that S3 takes and lists at once. */
const deletedAtOnce = 1_000
const listedAtOnce = 1_000

/** Each download holds one for as long as its client reads. */
const connections = 1_000

const missing: ReadonlySet<string> = new Set(['NoSuchKey', 'NotFound', 'NoSuchUpload'])

interface Opened {
  sdk: typeof import('@aws-sdk/client-s3')
  Upload: typeof import('@aws-sdk/lib-storage').Upload
  client: S3Client
}

/** What was read of a source, and why no more. */
interface Counted {
  bytes: number
  error?: unknown
}
