import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { errors } from '@millrace/contract/errors'
import { newId, toTypeId } from '@millrace/database/ids'
import { ApiError, errorEnvelope } from './api-error.ts'

/** Answers what Node's parser refused before any route could: broken HTTP, or headers over 16 KB. JSON like the rest. */
export function refuseBroken(error: Error, socket: Duplex): void {
  if (!socket.writable || ('code' in error && error.code === 'ECONNRESET')) {
    socket.destroy()
    return
  }
  const tooLarge = 'code' in error && error.code === 'HPE_HEADER_OVERFLOW'
  const reason = tooLarge ? 'The request headers are too large.' : 'The request is not valid HTTP.'
  const requestId = toTypeId('req', newId())
  const body = JSON.stringify(errorEnvelope(new ApiError('INVALID_REQUEST', reason), requestId))
  const { status } = errors.INVALID_REQUEST
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
