import { open } from 'node:fs/promises'
import type { FileValue } from '@millrace/models/define-model'
import type { Question } from '../ask-host.ts'
import { Failed } from '../faults.ts'
import type { Call } from '../open-remote.ts'
import { extensionOf, plainType, typeOfBytes } from './media-types.ts'

/** Asks, and keeps the bytes of the answer as a file of the output. What is known of its type comes first to last. */
export async function receiveFile(
  { ask, rehost }: Call<'openai'>,
  question: Question,
  { name, format, otherwise }: Naming,
): Promise<FileValue> {
  const { headers, chunks } = await ask.open(question)
  const said = plainType(headers['content-type'])
  const saved = await rehost.saveStream(chunks(), name)
  const start = await startOf(saved.$file)
  const seen = typeOfBytes(start)
  if (start.length === 0) throw new Failed('The host answered with an empty file.', 'INVALID_OUTPUT')
  if (!seen && said && /\b(json|html|xml)$/.test(said)) {
    throw new Failed(`The host answered with ${said} in place of a file.`, 'INVALID_OUTPUT')
  }
  const media = said && /^(audio|video|image)\//.test(said) ? said : undefined
  const type = seen ?? format ?? media ?? otherwise
  return { ...saved, name: `${name}${extensionOf(type)}`, contentType: type }
}

async function startOf(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

interface Naming {
  /** Without an extension. */
  name: string
  /** The type that was asked for. */
  format: string | undefined
  /** The type when nobody says. */
  otherwise: string
}
