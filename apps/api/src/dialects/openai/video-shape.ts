import type { Video } from '@millrace/contract/media'
import type { Status } from '@millrace/contract/statuses'
import { type PredictionRow, present } from '@millrace/lifecycle/present'
import type { Context } from '../../context.ts'

/** A prediction as OpenAI's clients read a video. */
export function videoOf({ links }: Context, row: PredictionRow): Video {
  const { id, status, model, input, metrics, metadata, error, error_id, ...shown } = present(row, links)
  return {
    id,
    object: 'video',
    model: model.name,
    status: words[status],
    progress: status === 'succeeded' ? 100 : Math.floor(metrics.progress ?? 0),
    created_at: secondsOf(shown.created_at) ?? 0,
    completed_at: secondsOf(shown.completed_at),
    expires_at: secondsOf(metadata.expires_at),
    error: words[status] === 'failed' ? errorOf(status, error, error_id) : null,
    prompt: textOf(input?.prompt ?? input?.text ?? input?.input),
    seconds: textOf(input?.seconds ?? input?.duration ?? input?.duration_seconds),
    size: textOf(input?.size) ?? sidesOf(input),
    remixed_from_video_id: null,
  }
}

function errorOf(status: Status, error: string | null, errorId: string | undefined): Video['error'] {
  if (status === 'cancelled') return { code: 'cancelled', message: 'The video was cancelled.' }
  return { code: (errorId ?? 'MODEL_ERROR').toLowerCase(), message: error ?? '' }
}

function sidesOf(input: Record<string, unknown> | null): string | null {
  return input && typeof input.width === 'number' && typeof input.height === 'number'
    ? `${input.width}x${input.height}`
    : null
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : null
}

function secondsOf(time: string | null): number | null {
  return time === null ? null : Math.floor(Date.parse(time) / 1000)
}

const words = {
  pending: 'queued',
  starting: 'in_progress',
  processing: 'in_progress',
  succeeded: 'completed',
  failed: 'failed',
  cancelled: 'failed',
} as const satisfies Record<Status, Video['status']>
