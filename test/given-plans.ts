import { randomBytes } from 'node:crypto'
import type { Limits, PlanSettings } from '@millrace/contract/plan'
import { type GivenAccount, givenAccount, givenKey } from './given-accounts.ts'
import type { Service } from './harness/service.ts'

/** One more account with a plan of its own, and a key that has not been used yet: a plan is known for a second. */
export async function givenAccountOn(service: Service, settings: PlanSettings): Promise<GivenAccount> {
  const { db } = service
  const account = await givenAccount(service)
  const plan = `test-${randomBytes(8).toString('hex')}`
  await db.pool.query('insert into plans (name, settings) values ($1, $2)', [plan, JSON.stringify(settings)])
  await db.pool.query('update accounts set plan = $2 where id = $1', [account.accountId, plan])
  return account
}

/** One more key of an account, with limits of its own. */
export async function givenLimitedKey(service: Service, accountId: string, limits: Limits): Promise<string> {
  const { id, key } = await givenKey(service, accountId)
  await service.db.pool.query('update api_keys set limits = $2 where id = $1', [id, JSON.stringify(limits)])
  return key
}
