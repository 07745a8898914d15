import type { Database } from '@millrace/database/connect'

/**
 * Keeps what a worker measured since its last word: of each model the newest `keptTimes` in seconds, whoever ran it. One
 * statement for all of its models. The newest are what counts: a model, or its machine, may have become another.
 */
export async function saveRunTimes(
  db: Database,
  times: ReadonlyMap<string, readonly number[]>,
): Promise<void> {
  // In one order, so that two workers do not wait for each other.
  const rows = [...times].sort(([a], [b]) => (a < b ? -1 : 1)).map(([model, seconds]) => ({ model, seconds }))
  await db.pool.query({
    name: 'save-run-times',
    text: saveStatement,
    values: [JSON.stringify(rows), keptTimes],
  })
}

/** Of each model. */
export const keptTimes = 200

/** The newest run times of a model, oldest first. */
export async function readRunTimes(db: Database, model: string): Promise<number[]> {
  const { rows } = await db.pool.query<{ seconds: number[] }>({
    name: 'read-run-times',
    text: 'select seconds from run_times where model = $1',
    values: [model],
  })
  return rows[0]?.seconds ?? []
}

/** What is shown of them. */
export function summaryOf(seconds: readonly number[]): RunTimes {
  const sorted = seconds.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? null
  return { median: at(0.5), p95: at(0.95), samples: sorted.length }
}

const saveStatement = `
  insert into run_times as t (model, seconds, updated_at)
  select i.model, i.seconds, clock_timestamp() from json_to_recordset($1) as i(model text, seconds real[])
  on conflict (model) do update
    set seconds = (t.seconds || excluded.seconds)[greatest(1, cardinality(t.seconds || excluded.seconds) - $2 + 1):],
        updated_at = excluded.updated_at`

export interface RunTimes {
  median: number | null
  p95: number | null
  samples: number
}
