import { fromTypeId } from '@millrace/database/ids'
import { createMany } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'

export const crashModel: Scenario = {
  name: 'crash-model',
  fault: 'a model that kills its process each time',
  outcome:
    'fails with WORKER_LOST after three attempts; its neighbours succeed, other models are not delayed',
  async run(world, { predictions, long }) {
    const { client } = world
    const crashing = long ? 20 : 3
    // Few enough a second that nothing waits for a slot: what delays these is the crashes.
    const count = Math.min(800, Math.floor((predictions - 2 * crashing) / 2))
    const echoes = () =>
      createMany(client, { count, perSecond: 25, body: () => ordinary(world, { delay_ms: 20 }) })
    const chaos = (input: Record<string, unknown>) =>
      createMany(client, {
        count: crashing,
        perSecond: 1,
        body: () => ({ ...ordinary(world), model: 'chaos', input }),
      })

    const alone = await echoes()
    world.fault('a model that kills its process')
    const [beside, culprits, neighbours] = await Promise.all([echoes(), chaos({ crash: true }), chaos({})])
    const rest = predictions - 2 * (count + crashing)
    const crowd = await createMany(client, { count: rest, perSecond: 80, body: () => ordinary(world) })
    await world.untilQuiet(120_000)

    await expectEnds(world, culprits, { status: 'failed', errorId: 'WORKER_LOST', attempts: [3] })
    await expectEnds(world, neighbours, { status: 'succeeded', errorId: null, attempts: [1, 2, 3] })
    await expectEnds(world, [...beside, ...crowd], { status: 'succeeded', errorId: null, attempts: [1] })
    const before = await p95Wait(world, alone)
    const meanwhile = await p95Wait(world, beside)
    if (long && meanwhile > 2 * before + 250) {
      throw new Error(`Others waited ${meanwhile} ms to start (p95), and ${before} ms without the crashes`)
    }
    return { culprits: culprits.length, p95_start_before: before, p95_start_meanwhile: meanwhile }
  },
}

async function expectEnds({ db }: World, ids: string[], wanted: End): Promise<void> {
  const { rows } = await db.pool.query<{ status: string; errorId: string | null; attempt: number }>(
    'select status, error_id as "errorId", attempt from predictions where id = any($1)',
    [uuidsOf(ids)],
  )
  const other = rows.find(
    ({ status, errorId, attempt }) =>
      status !== wanted.status || errorId !== wanted.errorId || !wanted.attempts.includes(attempt),
  )
  if (other) throw new Error(`One is ${JSON.stringify(other)} instead of ${JSON.stringify(wanted)}`)
}

/** From creation to start, in milliseconds. */
async function p95Wait({ db }: World, ids: string[]): Promise<number> {
  const { rows } = await db.pool.query<{ p95: number }>(
    `select percentile_cont(0.95) within group (order by extract(epoch from started_at - created_at)) * 1000 as p95
     from predictions where id = any($1)`,
    [uuidsOf(ids)],
  )
  return rows[0]?.p95 ?? 0
}

function uuidsOf(ids: string[]): (string | undefined)[] {
  return ids.map((id) => fromTypeId('pred', id))
}

interface End {
  status: string
  errorId: string | null
  attempts: number[]
}
