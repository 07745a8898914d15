import type { Database } from '@millrace/database/connect'

/** Makes a prediction, its files and what is noted of them as old as if so many days had passed. */
export async function passDays({ pool }: Database, id: string, days: number): Promise<void> {
  const earlier = (column: string) => `${column} = ${column} - $2 * interval '1 day'`
  const times = ['created_at', 'updated_at', 'started_at', 'completed_at'].map(earlier).join(', ')
  await pool.query(`update predictions set ${times} where id = $1`, [id, days])
  await pool.query(`update files set ${earlier('expires_at')} where prediction_id = $1`, [id, days])
  await pool.query(`update expiries set ${earlier('due_at')} where prediction_id = $1`, [id, days])
}

/** The file of a model that takes a file, logs, streams and answers a file. `more` is what else it states. */
export const fileModel = (namespace: string, more = ''): string => `
  import { readFileSync } from 'node:fs'
  export default {
    namespace: '${namespace}', type: 'image', ${more}
    input_schema: {
      type: 'object',
      properties: { picture: { type: 'string', format: 'uri' }, secret: { type: 'string', format: 'password' } },
    },
    async *run({ picture }, { file, log }) {
      log('private: in the log')
      yield 'private: in a delta'
      return await file(readFileSync(picture), { name: 'out.bin' })
    },
  }`
