import type { HeldBatch } from '@millrace/batches/hold-batches'
import type { Retention } from '@millrace/database/tables'
import type { Context } from '../context.ts'

/** Whether a batch's account may still ask for something, and how long it keeps what it has. */
export async function accountOf({ db }: Context, { account_id: id }: HeldBatch): Promise<Account> {
  const { rows } = await db.pool.query<Account>({
    name: 'batch-account',
    text: `select suspended_at is not null as suspended,
                  json_strip_nulls(json_build_object('files_days', retention_files_days,
                                                     'data_days', retention_data_days)) as retention
           from accounts where id = $1`,
    values: [id],
  })
  return rows[0] ?? { suspended: true, retention: {} }
}

interface Account {
  suspended: boolean
  retention: Retention
}
