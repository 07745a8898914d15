import { countText } from '@millrace/inference/count-tokens'
import type { Usage } from '@millrace/ledger/price'
import { readUsage } from '@millrace/ledger/read-usage'
import { megapixelsOf } from '@millrace/media/megapixels'
import { isRecord } from '@millrace/models/is-record'
import type { Run } from './run.ts'

/**
 * Counts what a prediction made, for its price: its pictures and films, and how large they are. Undefined where nothing
 * is held for it: then nobody asks.
 */
export function createFileCount({ claim }: Run): FileCount | undefined {
  if (claim.row.held === 0) return undefined
  let [image, video, image_megapixel] = [0, 0, 0]
  let isMeasured = true
  return {
    async add({ source, contentType }) {
      if (contentType.startsWith('video/')) video++
      if (!contentType.startsWith('image/')) return
      image++
      const size = await megapixelsOf(source)
      if (size === undefined) isMeasured = false
      else image_megapixel += size
    },
    usage: () => ({ image, video, ...(isMeasured ? { image_megapixel } : {}) }),
  }
}

/**
 * All that is known of how much a prediction used, beside its time: what was counted, and before that what its model, its
 * host or its answer told. Undefined where nothing is held for it.
 */
export async function usageOf(
  run: Run,
  { output, predictSeconds }: Made,
  counted: Usage,
): Promise<Usage | undefined> {
  const { claim, inference } = run
  if (claim.row.held === 0) return undefined
  const times = { computing_second: predictSeconds, gpu: predictSeconds }
  const answered = inference && isRecord(output) ? readUsage(output.usage) : {}
  const told = { ...answered, ...run.used }
  const isUncounted =
    told.token === undefined && told.input_tokens === undefined && told.output_tokens === undefined
  const tokens = claim.price?.unit === 'token' && isUncounted ? await tokensOf(claim.row.input, output) : {}
  return { ...times, ...counted, ...tokens, ...told }
}

async function tokensOf(input: Record<string, unknown>, output: unknown): Promise<Usage> {
  const texts = Object.values(input).filter((value) => typeof value === 'string')
  const made = typeof output === 'string' ? output : JSON.stringify(output)
  return { input_tokens: await countText(texts.join('\n')), output_tokens: await countText(made) }
}

interface Made {
  output: unknown
  predictSeconds: number
}

export interface FileCount {
  add(file: { source: string | Uint8Array; contentType: string }): Promise<void>
  usage(): Usage
}
