import type { Connection } from '@millrace/database/connect'

/**
 * Locks runs, in the order of their ids, until the transaction ends. A statement of its own: the next one sees
 * everything that the locks had to wait for, and so never has to re-check a row that changed under it.
 *
 * That is more than tidy. PostgreSQL 18 (seen in 18.4) corrupts its own memory when it re-checks a row of a partitioned
 * table (EvalPlanQual) in a plan that prunes both by a parameter and by a join, and every client loses its connection.
 */
export async function holdRuns(connection: Connection, ids: string[]): Promise<void> {
  await connection.query({ name: 'hold-runs', text: statement, values: [ids] })
}

const statement = 'select from runs where prediction_id = any($1::uuid[]) order by prediction_id for update'
