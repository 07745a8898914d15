import type { Caller } from '@millrace/accounts/api-keys'
import type { Database } from '@millrace/database/connect'
import { countUnfinished, limitNames } from '@millrace/lifecycle/over-limit'
import type { ModelDescription } from '@millrace/models/description'
import type { Response } from 'express'
import { ApiError } from './api-error.ts'

/**
 * Refuses a create where as many predictions run and wait as may run at a time, for accounts that would rather be refused
 * than wait (`over_limit: "refuse"`). For all others it asks nothing. Those that are being created in this process count
 * as well, in the order in which they came; of several processes each may let one more pass, which then waits its turn.
 */
export function refuseOverLimit(db: Database): OverLimit {
  const coming = new Map<string, string[]>()

  return async ({ caller, model, id, response }) => {
    if (caller.overLimit !== 'refuse') return
    const asked = { account: caller.accountId, key: caller.keyId, model: model.namespace }
    // Until its answer is sent it is found here, and from then on in the database.
    const before = [...coming]
    coming.set(id, limitNames(asked))
    response.once('close', () => coming.delete(id))
    const limits = await countUnfinished(db, { ...asked, except: before.map(([other]) => other) })
    for (const { name, limit, unfinished } of limits) {
      if (unfinished + before.filter(([, names]) => names.includes(name)).length < limit) continue
      coming.delete(id)
      throw new ApiError('RATE_LIMIT_EXCEEDED', refusalOf(name, limit), {
        headers: { 'retry-after': `${retrySeconds}` },
      })
    }
  }
}

function refusalOf(name: string, limit: number): string {
  const owner = name.startsWith('key ') ? 'key' : 'account'
  const of = / model /.test(name) ? ' of this model' : ''
  return `This ${owner} may have ${limit} predictions${of} at a time, and has that many.`
}

/** Runs take seconds; whoever comes too early is told again. */
const retrySeconds = 2

/** Throws RATE_LIMIT_EXCEEDED. `id` is that of the prediction to be. */
export type OverLimit = (create: {
  caller: Pick<Caller, 'accountId' | 'keyId' | 'overLimit'>
  model: ModelDescription
  id: string
  response: Response
}) => Promise<void>
