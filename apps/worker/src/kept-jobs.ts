import type { Claim } from '@millrace/lifecycle/claim'
import type { Job } from '@millrace/providers/provider'
import { insist, type Run } from './run.ts'
import type { ServedModel, Worker } from './worker.ts'

/** A job means something to the host and the model only that kept it, be it under a former name. */
export function isJobHere({ job }: Claim, { description, aliases, host }: ServedModel): boolean {
  if (job === undefined || job.host !== host) return false
  return job.model === description.namespace || aliases.includes(job.model)
}

/** It may be under way where this worker cannot ask, and must not be under way twice. */
export function isOrphan({ claim, job, model }: Run): boolean {
  return model.description.rerun === 'never' && claim.job !== undefined && job === undefined
}

/** Stores what the host calls the job, before anybody waits for it. Rejects when the run is somebody else's. */
export async function keepJob(worker: Worker, run: Run, job: Job): Promise<void> {
  const { id, attempt } = run.claim
  const { description, host } = run.model
  if (JSON.stringify(job).length > maxJobLength)
    throw new Error('The host named its job with more than 4 KB.')
  const kept = { model: description.namespace, host, attempt, job }
  const isOurs = await insist(worker, run, () => worker.keeping.add({ id, attempt, job: kept }))
  if (!isOurs) {
    run.hold.stop('lost')
    throw new Error('The run was lost before its job was kept.')
  }
  run.job = kept
  run.hold.leave()
  await worker.hosts.works(host)
}

const maxJobLength = 4096
