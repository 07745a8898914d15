import { endpoints } from '@millrace/contract/endpoints'
import { findFile } from '@millrace/storage/files'
import { ApiError } from '../api-error.ts'
import { route } from '../route.ts'
import { sendFile } from '../send-file.ts'

/** Whoever holds a signed URL may fetch the file: browsers and clients send no key here. */
export const downloadFile = route(endpoints.downloadFile, async ({ context, params, query, ...http }) => {
  const { expires = '', signature = '' } = query
  if (context.fileUrls.hasExpired(params.id, expires, signature)) throw new ApiError('FILE_URL_EXPIRED')
  const signed = context.fileUrls.verify(params.id, expires, signature)
  return sendFile(context, signed ? await findFile(context.db, { id: params.id }) : undefined, http)
})

/** For OpenAI's clients, which fetch with their key. */
export const getFileContent = route(
  endpoints.getFileContent,
  async ({ context, caller, params, ...http }) => {
    return sendFile(context, await findFile(context.db, { id: params.id, accountId: caller.accountId }), http)
  },
)
