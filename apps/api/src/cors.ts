import type { RequestHandler } from 'express'

/** CORS for the origins that are named, `*` for all; off when there are none. */
export function cors(origins: string[]): RequestHandler {
  return (request, response, next) => {
    const origin = request.get('origin')
    if (origin === undefined || !(origins.includes('*') || origins.includes(origin))) {
      next()
      return
    }
    response.set({
      'access-control-allow-origin': origin,
      vary: 'Origin',
      'access-control-expose-headers': exposed,
    })
    if (request.method !== 'OPTIONS') {
      next()
      return
    }
    response.set({
      'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
      'access-control-allow-headers': request.get('access-control-request-headers') ?? '',
      'access-control-max-age': '600',
    })
    response.status(200).json({})
  }
}

const exposed = [
  'x-request-id',
  'x-ignored-fields',
  'x-did-you-mean',
  'idempotency-replayed',
  'retry-after',
  'etag',
  'ratelimit',
  'ratelimit-policy',
  'x-credits-used',
  'x-credits-remaining',
].join(', ')
