import type { Account, CreateAccount, PatchAccount } from '@millrace/contract/admin'
import { type Connection, type Database, transaction } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import { countCap, type Found, findPage, type Page } from '@millrace/database/page'
import { insertAccount } from './accounts.ts'
import type { KeyRing } from './api-keys.ts'
import { type Actor, changesOf, noteAct } from './audit.ts'

/** Makes an account as the operator wants it. Throws AccountFault for a name that is taken and for a plan that is not there. */
export function makeAccount(
  db: Database,
  ring: KeyRing,
  actor: Actor,
  wanted: CreateAccount,
): Promise<AccountRow> {
  const { name, plan = 'free', ...rest } = wanted
  return named(
    transaction(db, async (client) => {
      const id = await insertAccount(client, ring, { name, plan })
      const row = existing(await update(client, id, asColumns(rest)))
      await noteAct(client, actor, {
        act: 'account.create',
        target: toTypeId('acct', id),
        accountId: id,
        after: shown(row),
      })
      return row
    }),
  )
}

/** Changes what is given of an account. Undefined where there is none; throws AccountFault as above. */
export function changeAccount(
  db: Database,
  actor: Actor,
  id: string,
  change: PatchAccount,
): Promise<AccountRow | undefined> {
  return named(
    transaction(db, async (client) => {
      const { rows } = await client.query<AccountRow>(
        `select ${columns} from accounts where id = $1 for no key update`,
        [id],
      )
      const [was] = rows
      if (!was) return undefined
      const row = existing(await update(client, id, asColumns(change)))
      const changes = changesOf(shown(was), shown(row))
      const suspends = was.suspended_at === null ? 'account.suspend' : 'account.unsuspend'
      const act = 'suspended' in changes.after ? suspends : 'account.change'
      if (Object.keys(changes.after).length > 0)
        await noteAct(client, actor, { act, target: toTypeId('acct', id), accountId: id, ...changes })
      return row
    }),
  )
}

/** A page of all accounts, newest first. */
export function pageAccounts({ pool }: Database, page: Page): Promise<Found<AccountRow>> {
  return findPage(
    page,
    async ({ above, below, order, limit, offset }) => {
      const { rows } = await pool.query<AccountRow>(
        `select ${columns} from accounts where id > $1 and id < $2 order by id ${order} limit $3 offset $4`,
        [above, below, limit, offset],
      )
      return rows
    },
    async () => {
      const counted =
        'select count(*)::int as accounts from (select from accounts order by id limit $1) counted'
      const { rows } = await pool.query<{ accounts: number }>(counted, [countCap + 1])
      return rows[0]?.accounts ?? 0
    },
  )
}

/** All accounts, oldest first. */
export async function listAccounts({ pool }: Database): Promise<AccountRow[]> {
  return (await pool.query<AccountRow>(`select ${columns} from accounts order by id`)).rows
}

export async function findAccount({ pool }: Database, id: string): Promise<AccountRow | undefined> {
  return (await pool.query<AccountRow>(`select ${columns} from accounts where id = $1`, [id])).rows[0]
}

/** An account as the API shows it to the operator. */
export function presentAccount(row: AccountRow): Account {
  return {
    id: toTypeId('acct', row.id),
    ...shown(row),
    suspended_at: row.suspended_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  }
}

function shown(row: AccountRow) {
  return {
    name: row.name,
    plan: row.plan,
    weight: row.weight,
    over_limit: row.over_limit,
    suspended: row.suspended_at !== null,
    retention: { files_days: row.retention_files_days, data_days: row.retention_data_days },
  }
}

/** The columns that a change is about, with a value for each. */
function asColumns({ suspended, retention = {}, ...plain }: PatchAccount): [string, unknown][] {
  const { files_days: files, data_days: data } = retention
  return [
    ...Object.entries(plain),
    ...(suspended === undefined ? [] : [['suspended_at', suspended] as [string, unknown]]),
    ...Object.entries({ retention_files_days: files, retention_data_days: data }),
  ].filter(([, value]) => value !== undefined)
}

async function update(
  client: Connection,
  id: string,
  given: [string, unknown][],
): Promise<AccountRow | undefined> {
  const sets = given.map(([column], index) => setOf[column]?.(`$${index + 2}`) ?? '')
  const { rows } = await client.query<AccountRow>(
    sets.length === 0
      ? `select ${columns} from accounts where id = $1`
      : `update accounts set ${sets.join(', ')} where id = $1 returning ${columns}`,
    [id, ...given.map(([, value]) => value)],
  )
  return rows[0]
}

/** What may be set, and how. Since when an account is suspended stays as it is. */
const setOf: Readonly<Record<string, (value: string) => string>> = {
  name: (value) => `name = ${value}`,
  plan: (value) => `plan = ${value}`,
  weight: (value) => `weight = ${value}`,
  over_limit: (value) => `over_limit = ${value}`,
  suspended_at: (value) =>
    `suspended_at = case when ${value}::boolean then coalesce(suspended_at, clock_timestamp()) end`,
  retention_files_days: (value) => `retention_files_days = ${value}`,
  retention_data_days: (value) => `retention_data_days = ${value}`,
}

async function named<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
    if (code === '23505') throw new AccountFault('name', 'is taken by another account')
    if (code === '23503') throw new AccountFault('plan', 'is no plan that there is')
    throw error
  }
}

function existing(row: AccountRow | undefined): AccountRow {
  if (!row) throw new Error('An account that was just written is not there')
  return row
}

const columns =
  'id, name, created_at, suspended_at, plan, weight, over_limit, retention_files_days, retention_data_days'

/** Why an account cannot be so: `field` cannot have that value. */
export class AccountFault extends Error {
  readonly field: 'name' | 'plan'

  constructor(field: AccountFault['field'], message: string) {
    super(message)
    this.name = 'AccountFault'
    this.field = field
  }
}

export interface AccountRow {
  id: string
  name: string
  created_at: Date
  suspended_at: Date | null
  plan: string
  weight: number
  over_limit: 'queue' | 'refuse' | null
  retention_files_days: number | null
  retention_data_days: number | null
}
