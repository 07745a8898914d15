import { open } from 'node:fs/promises'
import { extname } from 'node:path'
import { extensionOf, typeOfName, usualType } from '@millrace/media/file-types'
import { headBytes, mediaTypeOfBytes } from '@millrace/media/type-of-bytes'
import type { FileValue } from '@millrace/models/define-model'
import type { Question } from '../ask-host.ts'
import { Failed } from '../faults.ts'
import type { Call } from '../open-remote.ts'

/** Asks, and keeps the bytes of the answer as a file of the output. What is known of its type comes first to last. */
export async function receiveFile(
  { ask, rehost }: Call<'openai'>,
  question: Question,
  { name, format, otherwise }: Naming,
): Promise<FileValue> {
  const { headers, chunks } = await ask.open(question)
  const said = usualType(headers['content-type'] ?? '')
  const saved = await rehost.saveStream(chunks(), name)
  const start = await startOf(saved.$file)
  const shown = await mediaTypeOfBytes(start)
  // Raw sound may begin like a picture.
  const seen = shown?.split('/')[0] === otherwise.split('/')[0] ? shown : undefined
  if (start.length === 0) throw new Failed('The host answered with an empty file.', 'INVALID_OUTPUT')
  if (!seen && /\b(json|html|xml)$/.test(said)) {
    throw new Failed(`The host answered with ${said} in place of a file.`, 'INVALID_OUTPUT')
  }
  const media = /^(audio|video|image)\//.test(said) ? said : undefined
  const wanted = extname(`${name}.${format}`).toLowerCase()
  const asked = typeOfName(`${name}${wanted}`)
  const type = seen ?? asked ?? media ?? otherwise
  // One type may have several names, of which the one that was asked for is right.
  return { ...saved, name: `${name}${type === asked ? wanted : extensionOf(type)}`, contentType: type }
}

async function startOf(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

interface Naming {
  /** Without an extension. */
  name: string
  /** The name of the format that was asked for. */
  format?: unknown
  /** The type when nobody says. */
  otherwise: string
}
