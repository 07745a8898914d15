import { open } from 'node:fs/promises'
import { imageSize } from 'image-size'

/** Millions of pixels of a picture, as its header tells; undefined where nobody can tell. Reads no more than its begin. */
export async function megapixelsOf(source: string | Uint8Array): Promise<number | undefined> {
  try {
    const { width, height } = imageSize(
      typeof source === 'string' ? await beginOf(source) : source.subarray(0, most),
    )
    return (width * height) / 1_000_000
  } catch {
    return undefined
  }
}

async function beginOf(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(most), 0, most, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Pictures with large profiles before their size are rare. */
const most = 512 * 1024
