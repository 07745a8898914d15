import { pipeline } from 'node:stream/promises'
import { endpoints } from '@millrace/contract/endpoints'
import { findFile, type StoredFile } from '@millrace/storage/files'
import type { Request, Response } from 'express'
import { ApiError } from '../api-error.ts'
import { answered, route } from '../route.ts'

/**
 * Whoever holds a signed URL may fetch the file: browsers and clients send no key here. The file is shown inline, yet
 * can run nothing: it is sandboxed and never sniffed.
 */
export const downloadFile = route(
  endpoints.downloadFile,
  async ({ context, params, query, request, response }) => {
    const { fileUrls } = context
    const { expires = '', signature = '' } = query
    if (fileUrls.hasExpired(params.id, expires, signature)) throw new ApiError('FILE_URL_EXPIRED')
    const signed = fileUrls.verify(params.id, expires, signature)
    const file = signed ? await findFile(context.db, { id: params.id }) : undefined
    if (!file) throw new ApiError('FILE_NOT_FOUND')
    const range = rangeOf(request, file)
    const source = await context.store.open(file.id, range)
    if (!source) throw new ApiError('FILE_NOT_FOUND')
    describe(response, file, range)
    if (request.method === 'HEAD') {
      source.destroy()
      response.end()
      return answered
    }
    await pipeline(source, response).catch((error: unknown) => {
      if (!response.destroyed) throw error
    })
    return answered
  },
)

function rangeOf(request: Request, file: StoredFile): { start: number; end: number } | undefined {
  // Units that we do not know are ignored, as HTTP asks.
  if (!request.get('range')?.startsWith('bytes=')) return undefined
  const ranges = request.range(file.bytes, { combine: true })
  if (ranges === undefined || ranges === -2) return undefined
  const [range] = ranges === -1 ? [] : ranges
  if (!range)
    throw new ApiError('RANGE_NOT_SATISFIABLE', undefined, {
      headers: { 'content-range': `bytes */${file.bytes}` },
    })
  // Several ranges would need a multipart answer; the whole file is as good.
  return ranges !== -1 && ranges.length > 1 ? undefined : range
}

function describe(
  response: Response,
  file: StoredFile,
  range: { start: number; end: number } | undefined,
): void {
  const ascii = file.name.replaceAll(/[^\x20-\x7e]|["\\]/g, '_')
  response.status(range ? 206 : 200).set({
    'content-type': file.contentType,
    'content-length': String(range ? range.end - range.start + 1 : file.bytes),
    'content-disposition': `inline; filename="${ascii}"; filename*=UTF-8''${encodeURIComponent(file.name)}`,
    'accept-ranges': 'bytes',
    'cache-control': 'private, max-age=3600',
    'cross-origin-resource-policy': 'cross-origin',
    'content-security-policy':
      "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
    ...(range ? { 'content-range': `bytes ${range.start}-${range.end}/${file.bytes}` } : {}),
  })
}
