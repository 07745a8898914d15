import type { Database } from '@millrace/database/connect'
import { budgetRooms, countedIn, countHolds, overdrafts } from './budget-holds.ts'
import { matchBudgets } from './match-budgets.ts'

/**
 * Sets money aside for calls that are about to begin, many in one statement. Of each account they are served in their
 * order: whoever finds too little left is refused, and those after it may still find enough. Safe to repeat with the same
 * ids when the outcome of the first try is unknown: what is held already stays so, counts as alive from now, and is its
 * new owner's.
 */
export async function holdCalls(db: Database, holds: readonly CallHold[]): Promise<HoldAnswer[]> {
  const answers = await holdOnce(db, holds)
  // Who stood behind a dearer neighbour of its batch may still fit into its budget.
  const again = holds.filter(({ id, amount }) => amount <= (answers.get(id)?.budget?.room ?? 0))
  if (again.length > 0) {
    const second = await holdCalls(db, again)
    again.forEach(({ id }, at) => {
      answers.set(id, second[at] ?? { held: false, balance: 0 })
    })
  }
  return holds.map(({ id }) => answers.get(id) ?? { held: false, balance: 0 })
}

async function holdOnce({ pool }: Database, holds: readonly CallHold[]): Promise<Map<string, HoldAnswer>> {
  const matches = await matchBudgets(pool, holds)
  const values = [
    holds.map(({ id }) => id),
    holds.map(({ accountId }) => accountId),
    holds.map(({ keyId }) => keyId ?? null),
    holds.map(({ amount }) => amount),
    holds.map(({ owner }) => owner ?? null),
  ]
  const { rows } = await pool.query<AnsweredRow>(
    matches.length === 0
      ? { ...plain, values }
      : { ...budgeted, values: [...values, JSON.stringify(matches)] },
  )
  const refused = rows.flatMap(({ id, held }) => (held ? [] : [id]))
  const kept = await findHeld(pool, refused)
  return new Map(rows.map((row) => [row.id, answerOf(row, kept.has(row.id))]))
}

function answerOf({ held, balance, budget_id, room }: AnsweredRow, isKept: boolean): HoldAnswer {
  if (held || isKept) return { held: true, balance }
  return budget_id === null ? { held, balance } : { held, balance, budget: { id: budget_id, room } }
}

/** Who repeats what it had no answer to may be held for by the first try, which took what the second one misses. */
async function findHeld(pool: Database['pool'], ids: string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const { rows } = await pool.query<{ id: string }>({
    name: 'find-held-calls',
    text: 'select id from call_holds where id = any($1::uuid[])',
    values: [ids],
  })
  return new Set(rows.map(({ id }) => id))
}

// Whoever holds or charges locks the balances first, in the order of accounts: nobody waits in a circle. What is held
// already is locked after them, so that it is there for sure: what was given back meanwhile is held anew.
const statement = ({ rooms, fits, budgets, counting, told }: Parts): string => `
  with recursive incoming as materialized (
    select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[])
      with ordinality as i(id, account_id, key_id, amount, owner, place)
  ), accounts as materialized (
    select account_id, balance, balance - held as free from balances
    where account_id = any($2::uuid[]) order by account_id for update
  ), known as materialized (
    select h.id from call_holds h join accounts using (account_id)
    where h.id = any($1::uuid[]) order by h.id for no key update of h
  ), alive as (
    update call_holds h set alive_at = clock_timestamp(), owner = i.owner
    from known k join incoming i using (id) where h.id = k.id
  )${rooms}, turns as materialized (
    select i.id, i.account_id, i.amount, row_number() over (partition by i.account_id order by i.place) as turn
    from incoming i where i.id not in (select id from known)${fits}
  ), served as (
    select account_id, 0::bigint as turn, null::uuid as id, free, false as held from accounts
    union all
    select s.account_id, t.turn, t.id, case when t.amount <= s.free then s.free - t.amount else s.free end,
           t.amount <= s.free
    from served s join turns t on t.account_id = s.account_id and t.turn = s.turn + 1
  ), stored as (
    insert into call_holds (id, account_id, key_id, amount, owner, budgets)
    select i.id, i.account_id, i.key_id, i.amount, i.owner, ${budgets} from incoming i join served s on s.id = i.id where s.held
    on conflict (id) do nothing
    returning id, account_id, amount
  ), moved as (
    update balances b set held = b.held + s.amount
    from (select account_id, sum(amount) as amount from stored group by account_id) s
    where b.account_id = s.account_id
  )${counting}
  select i.id, coalesce(a.balance, 0) as balance,
         coalesce(s.held, i.id in (select id from known)) as held,
         ${told} from incoming i left join served s on s.id = i.id left join accounts a on a.account_id = i.account_id`

const plain = {
  name: 'hold-calls',
  text: statement({
    rooms: '',
    fits: '',
    budgets: 'null',
    counting: '',
    told: 'null::uuid as budget_id, null::bigint as room',
  }),
}

/** The same for calls some of which count in budgets. */
const budgeted = {
  name: 'hold-budgeted-calls',
  text: statement({
    rooms: `, priced as materialized (
    select i.id, i.amount as hold, i.id not in (select id from known) as counts from incoming i
  ), ${budgetRooms('$6', 'accounts')}`,
    fits: ' and i.id not in (select id from overdrawn)',
    budgets: countedIn('i.id'),
    counting: `, fresh as materialized (
    select id, amount as hold from stored
  ), ${countHolds}`,
    told: `(select o.budget_id from overdrawn o where o.id = i.id) as budget_id,
         (select o.room from (${overdrafts}) o where o.id = i.id) as room`,
  }),
}

interface Parts {
  rooms: string
  fits: string
  budgets: string
  counting: string
  told: string
}

interface AnsweredRow {
  id: string
  held: boolean
  balance: number
  budget_id: string | null
  room: number
}

/** What one call may cost. */
export interface CallHold {
  /** The call's: of its row in the activity log. */
  id: string
  accountId: string
  keyId?: string | undefined
  /** Millionths of a credit, more than 0. */
  amount: number
  /** The process that is at it. */
  owner?: string | undefined
}

/** Whether it is set aside, and what the account has, what is held of that included: millionths of a credit. */
export interface HoldAnswer {
  held: boolean
  balance: number
  /** The budget that it does not fit into, and what that has left. */
  budget?: { id: string; room: number }
}
