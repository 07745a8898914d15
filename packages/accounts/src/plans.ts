import type { Plan } from '@millrace/contract/admin'
import { type PlanSettings, readSettings } from '@millrace/contract/plan'
import { type Database, transaction } from '@millrace/database/connect'
import { type Actor, noteAct } from './audit.ts'

/** All plans, by name. */
export async function listPlans({ pool }: Database): Promise<Plan[]> {
  const { rows } = await pool.query<PlanRow>(`select ${columns} from plans order by name`)
  return rows.map(presentPlan)
}

/** Makes a plan, or gives the one of that name other settings. */
export function putPlan(db: Database, actor: Actor, name: string, settings: PlanSettings): Promise<Plan> {
  return transaction(db, async (client) => {
    const { rows: earlier } = await client.query<PlanRow>(
      `select ${columns} from plans where name = $1 for no key update`,
      [name],
    )
    const { rows } = await client.query<PlanRow>(
      `insert into plans (name, settings) values ($1, $2)
       on conflict (name) do update set settings = excluded.settings, updated_at = clock_timestamp() returning ${columns}`,
      [name, JSON.stringify(settings)],
    )
    const [row] = rows
    if (!row) throw new Error('A plan that was just written is not there')
    const before = earlier[0] ? { before: earlier[0].settings } : {}
    await noteAct(client, actor, { act: 'plan.set', target: name, ...before, after: row.settings })
    return presentPlan(row)
  })
}

function presentPlan({ name, settings, created_at: createdAt, updated_at: updatedAt }: PlanRow): Plan {
  return {
    name,
    settings: readSettings(settings),
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  }
}

const columns = 'name, settings, created_at, updated_at'

interface PlanRow {
  name: string
  settings: object
  created_at: Date
  updated_at: Date
}
