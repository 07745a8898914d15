import type { Database } from '@millrace/database/connect'
import { sanitise } from '@millrace/database/sanitise'
import type { StoredAnswerTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'

/** Keeps an answer with what was asked, for `days`. */
export async function storeAnswer({ pool }: Database, answer: NewAnswer): Promise<void> {
  await pool.query({
    name: 'store-answer',
    text: `insert into stored_answers (id, account_id, surface, model, previous_id, request, answer, expires_at)
           values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + make_interval(secs => $8 * 86400.0))
           on conflict (id) do nothing`,
    values: [
      answer.id,
      answer.accountId,
      answer.surface,
      answer.model,
      answer.previousId ?? null,
      JSON.stringify(sanitise(answer.request)),
      JSON.stringify(sanitise(answer.answer)),
      answer.days,
    ],
  })
}

/** An account's answer; one that is over, or another's, answers as one that never was. */
export async function findAnswer(
  { pool }: Database,
  accountId: string,
  id: string,
): Promise<StoredAnswer | undefined> {
  const { rows } = await pool.query<StoredAnswer>({
    name: 'find-answer',
    text: `select * from stored_answers where id = $1 and account_id = $2 and expires_at > clock_timestamp()`,
    values: [id, accountId],
  })
  return rows[0]
}

/**
 * An answer and all that it goes on from, oldest first; undefined where one of them is not there (any more), or where
 * there are more than `mostTurns`.
 */
export async function findConversation(
  db: Database,
  accountId: string,
  id: string,
): Promise<StoredAnswer[] | undefined> {
  const rows = await findChain(db, accountId, id)
  return rows[0]?.previous_id === null ? rows : undefined
}

/** The same as far back as it goes without a gap, `mostTurns` at most: the first one may go on from what is not here. */
export async function findChain({ pool }: Database, accountId: string, id: string): Promise<StoredAnswer[]> {
  const { rows } = await pool.query<StoredAnswer & { turn: number }>({
    name: 'find-conversation',
    text: `with recursive turns as (
             select a.*, 1 as turn from stored_answers a
             where a.id = $1 and a.account_id = $2 and a.expires_at > clock_timestamp()
             union all
             select a.*, t.turn + 1 from turns t join stored_answers a on a.id = t.previous_id
             where a.account_id = $2 and a.expires_at > clock_timestamp() and t.turn < $3
           )
           select * from turns order by turn desc`,
    values: [id, accountId, mostTurns],
  })
  return rows
}

/** Forgets an account's answer; false where there was none. */
export async function removeAnswer({ pool }: Database, accountId: string, id: string): Promise<boolean> {
  const { rowCount } = await pool.query('delete from stored_answers where id = $1 and account_id = $2', [
    id,
    accountId,
  ])
  return (rowCount ?? 0) > 0
}

/** A conversation may be so long. */
export const mostTurns = 1_000

export type StoredAnswer = Selectable<StoredAnswerTable>

/** What is to be kept. */
export interface NewAnswer {
  id: string
  accountId: string
  surface: StoredAnswerTable['surface']
  model: string
  /** The answer that it goes on from. */
  previousId?: string | undefined
  request: Record<string, unknown>
  answer: Record<string, unknown>
  days: number
}
