import type { Job } from '@millrace/contract/create-prediction'
import { endpoints } from '@millrace/contract/endpoints'
import type { Prediction } from '@millrace/contract/prediction'
import type { Status } from '@millrace/contract/statuses'
import { listPredictions } from '@millrace/lifecycle/list'
import { present } from '@millrace/lifecycle/present'
import { ownPrediction } from '../../own-prediction.ts'
import { pageOf } from '../../paging.ts'
import { route } from '../../route.ts'
import { resultOf } from './result.ts'

export const getJob = route(endpoints.getJob, async ({ context, caller, params }) => {
  return jobOf(present(await ownPrediction(context, caller, params.id), context.links))
})

export const listJobs = route(endpoints.listJobs, async ({ context, caller, query }) => {
  const { accountId } = caller
  const statuses = query.status && statusesOf[query.status]
  const found = await listPredictions(context.db, { accountId, statuses, tags: {} }, pageOf(query, 'pred'))
  return { jobs: found.rows.map((row) => jobOf(present(row, context.links))), count: found.total }
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
