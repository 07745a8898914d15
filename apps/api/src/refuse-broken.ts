import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { errors } from '@millrace/contract/errors'
import { newId, toTypeId } from '@millrace/database/ids'
import { ApiError, errorEnvelope } from './api-error.ts'

/** Answers what Node refused before any route could: broken HTTP, headers over 16 KB, what never ends. JSON like the rest. */
export function refuseBroken(error: Error, socket: Duplex): void {
  if (!socket.writable || ('code' in error && error.code === 'ECONNRESET')) {
    socket.destroy()
    return
  }
  const refusal = refusalOf('code' in error ? error.code : undefined)
  const requestId = toTypeId('req', newId())
  const body = JSON.stringify(errorEnvelope(refusal, requestId))
  const { status } = errors[refusal.id]
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function refusalOf(code: unknown): ApiError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ApiError('REQUEST_TIMEOUT')
    case 'HPE_HEADER_OVERFLOW':
      return new ApiError('INVALID_REQUEST', 'The request headers are too large.')
    default:
      return new ApiError('INVALID_REQUEST', 'The request is not valid HTTP.')
  }
}
