import { markedFile } from '@millrace/contract/file-marker'
import type { Prediction } from '@millrace/contract/prediction'
import { isTerminal } from '@millrace/contract/statuses'
import { toTypeId } from '@millrace/database/ids'
import type { PredictionFile, PredictionTable, Retention } from '@millrace/database/tables'
import { asCredits } from '@millrace/ledger/micro'
import type { Selectable } from 'kysely'

/** The prediction as the contract shows it: ids spelled out, file markers turned into signed URLs, times in ISO 8601. */
export function present(row: Omit<PredictionRow, 'sealed_input'>, links: Links): Prediction {
  const id = toTypeId('pred', row.id)
  const urls = new Map(row.files.map((file) => [file.id, links.file(file)]))
  const error = row.status === 'failed' ? row.error : null
  return {
    id,
    status: row.status,
    type: 'inference',
    stream: row.stream,
    input: withUrls(row.input, urls) as Record<string, unknown>,
    output: row.status === 'succeeded' ? withUrls(row.output, urls) : null,
    error,
    response: error,
    ...(row.status === 'failed' && row.error_id !== null ? { error_id: row.error_id } : {}),
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    completed_at: row.completed_at?.toISOString() ?? null,
    privacy: 'private',
    source: row.source,
    model: { name: row.model, type: row.model_type },
    webhook: row.webhook ?? { url: null, events: [] },
    metrics: metricsOf(row),
    metadata: metadataOf(row, urls, shortest(links.fileDays ?? fileRetentionDays, row.retention)),
    urls: predictionUrls(links.publicUrl, id),
  }
}

/** The four links of a prediction, absolute, from the configured public URL. */
export function predictionUrls(publicUrl: string, id: string): Prediction['urls'] {
  const get = `${publicUrl}/v1/predictions/${id}`
  return { get, cancel: `${get}/cancel`, stream: `${get}/stream`, delete: get }
}

function metricsOf(row: Omit<PredictionRow, 'sealed_input'>): Prediction['metrics'] {
  const outputs = row.files.filter(({ role }) => role === 'output')
  const images = outputs.filter(({ type }) => type.startsWith('image/')).length
  return {
    ...(row.started_at && row.completed_at
      ? { predict_time: seconds(row.started_at, row.completed_at) }
      : {}),
    ...(row.completed_at ? { total_time: seconds(row.created_at, row.completed_at) } : {}),
    ...(!isTerminal(row.status) && typeof row.progress === 'number' ? { progress: row.progress } : {}),
    ...(images > 0 ? { image_count: images } : {}),
    ...(outputs.length > 0 ? { asset_count: outputs.length } : {}),
  }
}

function metadataOf(
  row: Omit<PredictionRow, 'sealed_input'>,
  urls: Map<string, string>,
  fileDays: number,
): Prediction['metadata'] {
  const expiresAt = row.completed_at && new Date(row.completed_at.getTime() + fileDays * 86_400_000)
  return {
    billing: { credits_used: asCredits(row.charged) },
    storage: {
      files: row.files
        .filter(({ role }) => role === 'output')
        .map(({ id, name, type, size }) => ({ name, type, size, url: urls.get(id) ?? '' })),
    },
    data_available: row.expired_at === null,
    expires_at: expiresAt?.toISOString() ?? null,
    attempts: row.attempt,
    ...(row.served_by === null ? {} : { served_by: row.served_by }),
    cancel_requested_at: row.cancel_requested_at?.toISOString() ?? null,
    tags: row.tags,
    priority: row.priority,
    run_at: row.run_at?.toISOString() ?? null,
    expires_in: row.expires_in,
    cold_boot: row.cold_boot,
    model_version: row.version,
  }
}

/** Days until something of it goes. */
function shortest(fileDays: number, retention: Retention | null): number {
  const { files_days = fileDays, data_days = fileDays } = retention ?? {}
  return Math.min(fileDays, files_days, data_days)
}

function withUrls(value: unknown, urls: Map<string, string>): unknown {
  if (urls.size === 0) return value
  if (typeof value === 'string') return urls.get(markedFile(value) ?? '') ?? value
  if (Array.isArray(value)) return value.map((item) => withUrls(item, urls))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withUrls(item, urls)]))
}

function seconds(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 1000
}

/** Files of an output live this long unless `links` says otherwise. */
const fileRetentionDays = 7

/** How links are written: the public URL, and a signed URL for each file; with them, for how many days there is one. */
export interface Links {
  publicUrl: string
  file(file: Pick<PredictionFile, 'id' | 'name'>): string
  fileDays?: number
}

/** A row of `predictions`, with what was read along of its run. */
export type PredictionRow = Selectable<PredictionTable> & {
  progress?: number | null
  /** Its run is in line, and nobody holds it. */
  waits?: boolean | null
  /** The model whose line it is in. */
  line?: string | null
  /** The key whose limits it waits for besides those of its account; the zero uuid for none. */
  lane?: string | null
  /** Where in line, in seconds since 1970. */
  turn?: number | null
}
