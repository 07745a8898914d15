import { pipeline, type Readable } from 'node:stream'
import zlib from 'node:zlib'
import { InferenceFault } from './fault.ts'

/**
 * The bytes of an answer as they were before they were encoded. Nothing but plain bytes is asked for, and some proxies
 * compress all the same. What is compressed is passed on as it comes.
 */
export function decoded(body: Readable, encodings: string | string[] | undefined): AsyncIterable<Uint8Array> {
  const names = String(encodings ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity')
  return names.reduceRight((inner: Readable, name) => {
    const open = decoders[name]
    if (!open) {
      body.destroy()
      throw new InferenceFault(
        'INFERENCE_ERROR',
        'The model answered in an encoding that nobody asked for.',
        {
          elsewhere: true,
          cause: new Error(`content-encoding: ${name.slice(0, 40)}`),
        },
      )
    }
    // An error of either ends the other, and the reader learns of it.
    return pipeline(inner, open(), () => undefined)
  }, body)
}

const flush = { flush: zlib.constants.Z_SYNC_FLUSH, finishFlush: zlib.constants.Z_SYNC_FLUSH }

const decoders: Readonly<Record<string, (() => zlib.Gunzip | zlib.BrotliDecompress) | undefined>> = {
  gzip: () => zlib.createGunzip(flush),
  'x-gzip': () => zlib.createGunzip(flush),
  deflate: () => zlib.createInflate(flush),
  br: () =>
    zlib.createBrotliDecompress({
      flush: zlib.constants.BROTLI_OPERATION_FLUSH,
      finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH,
    }),
}
