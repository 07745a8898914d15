import type { EndpointDefinition } from '@millrace/contract/endpoint'
import { lackOf } from '@millrace/models/present-model'
import type { Context } from '../context.ts'

/**
 * A command in one line that calls an endpoint and works as it stands. Undefined where there is none: the endpoint is
 * about something that has an id, it changes where events go, or the model of its example is not to be had here.
 */
export function curlOf(context: Context, endpoint: EndpointDefinition): string | undefined {
  const { method, path, body, example, upload, tag } = endpoint
  const url = `${context.config.PUBLIC_URL}${path}`
  const key = '-H "x-api-key: $MILLRACE_API_KEY"'
  if (path.includes('{')) return undefined
  if (method === 'get') return `curl -s ${url} ${key}`
  if (upload)
    return `curl -s '${url}?filename=hello.txt' ${key} -H 'content-type: text/plain' -d 'Hello, mill.'`
  if (!body || !example || tag === 'Webhooks' || !isServed(context, example.model)) return undefined
  const save = endpoint.replies[200]?.binary ? ' -o answer' : ''
  return `curl -s ${url} ${key} -H 'content-type: application/json'${save} -d ${quoted(JSON.stringify(example))}`
}

function isServed({ catalogue }: Context, slug: unknown): boolean {
  if (typeof slug !== 'string') return true
  const model = catalogue.find(slug)
  return model?.visibility === 'public' && lackOf(model) === null
}

/** For a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
