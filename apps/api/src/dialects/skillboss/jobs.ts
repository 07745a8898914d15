import type { Job } from '@millrace/contract/create-prediction'
import { endpoints } from '@millrace/contract/endpoints'
import type { Prediction } from '@millrace/contract/prediction'
import type { Status } from '@millrace/contract/statuses'
import { listPredictions } from '@millrace/lifecycle/list'
import { present } from '@millrace/lifecycle/present'
import { ownPrediction } from '../../own-prediction.ts'
import { route } from '../../route.ts'
import { resultOf } from './result.ts'

export const getJob = route(endpoints.getJob, async ({ context, caller, params }) => {
  return jobOf(present(await ownPrediction(context, caller, params.id), context.links))
})

export const listJobs = route(endpoints.listJobs, async ({ context, caller, query }) => {
  const { status, per_page = 15, page = 1 } = query
  const wanted = status === undefined ? [undefined] : statusesOf[status]
  const size = per_page * page
  const pages = await Promise.all(
    wanted.map((one) =>
      listPredictions(
        context.db,
        { accountId: caller.accountId, status: one, tags: {} },
        { size, offset: 0 },
      ),
    ),
  )
  const rows = pages
    .flatMap((found) => found.rows)
    .sort((a, b) => (a.id < b.id ? 1 : -1))
    .slice(size - per_page, size)
  return {
    jobs: rows.map((row) => jobOf(present(row, context.links))),
    count: pages.reduce((sum, { total }) => sum + total, 0),
  }
})

function jobOf(prediction: Prediction): Job {
  const { id, status, model, error, created_at, completed_at } = prediction
  return {
    job_id: id,
    status: words[status],
    model: model.name,
    result: status === 'succeeded' ? resultOf(prediction) : null,
    error: status === 'cancelled' ? 'The job was cancelled.' : error,
    created_at,
    completed_at,
  }
}

const words = {
  pending: 'queued',
  starting: 'running',
  processing: 'running',
  succeeded: 'completed',
  failed: 'failed',
  cancelled: 'failed',
} as const satisfies Record<Status, Job['status']>

const statusesOf = {
  queued: ['pending'],
  running: ['starting', 'processing'],
  completed: ['succeeded'],
  failed: ['failed', 'cancelled'],
} as const satisfies Record<Job['status'], Status[]>
