import type { Prediction } from '@millrace/contract/prediction'
import { fromTypeId, toTypeId } from '@millrace/database/ids'

/** A client of a service with one key: each call answers status, headers and the body, parsed where it is JSON. */
export function callerOf(url: string, apiKey?: string): ApiCaller {
  return async (request, { headers = {}, body, raw, signal } = {}) => {
    const [method = 'GET', path = '/'] = request.split(' ')
    const json = body === undefined ? raw : JSON.stringify(body)
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(apiKey === undefined ? {} : { 'x-api-key': apiKey }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      redirect: 'manual',
      ...(json === undefined ? {} : { body: json }),
      ...(signal === undefined ? {} : { signal }),
    })
    const text = await response.text()
    const isJson = /^application\/json(;|$)/.test(response.headers.get('content-type') ?? '')
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? JSON.parse(text) : undefined,
    }
  }
}

/** The error id of a reply and the paths of the fields it names. */
export function refusalOf({ status, body }: ApiReply): { status: number; id: string; fields: string[] } {
  const fields = (body?.error?.fields ?? []) as { path: string }[]
  return { status, id: body?.error?.error_id, fields: fields.map(({ path }) => path) }
}

/** The database's id of a public one. */
export function uuidOf(publicId: string): string {
  const uuid = fromTypeId('pred', publicId)
  if (uuid === undefined) throw new Error(`${publicId} is no id of a prediction`)
  return uuid
}

export const publicId = (uuid: string): string => toTypeId('pred', uuid)

/** `request` is a method and a path: `call('GET /v1/models')`. `body` is sent as JSON, `raw` as it is. */
export type ApiCaller = (
  request: string,
  options?: {
    headers?: Record<string, string>
    body?: unknown
    raw?: string | Uint8Array<ArrayBuffer> | FormData
    signal?: AbortSignal
  },
) => Promise<ApiReply>

export interface ApiReply {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: replies are checked by what the tests expect of them.
  body: any
}

export type PredictionReply = ApiReply & { body: Prediction }
