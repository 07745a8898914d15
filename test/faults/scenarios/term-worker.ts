import { fromTypeId } from '@millrace/database/ids'
import { until } from '../../harness/wait.ts'
import { createMany } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'

export const termWorker: Scenario = {
  name: 'term-worker',
  fault: 'SIGTERM of a worker with runs shorter and longer than its grace',
  outcome: 'the shorter are not re-run; the longer are handed back, run once more and count as no crash',
  async run(world, { predictions, long }) {
    const rounds = long ? 6 : 1
    let handedBack = 0
    for (let round = 0; round < rounds; round++) {
      handedBack += await stopOne(world, Math.ceil(predictions / rounds))
    }
    return { stops: rounds, handed_back: handedBack }
  },
}

/** Answers how many runs were handed back. */
async function stopOne(world: World, count: number): Promise<number> {
  const longer = await createMany(world.client, {
    count: 6,
    body: () => ordinary(world, { delay_ms: (world.drainSeconds + 2) * 1000 }),
  })
  const shorter: string[] = []
  const creating = createMany(world.client, {
    count,
    body: () => ordinary(world, { delay_ms: 20 + world.random.below(300) }),
    onCreated: (id) => shorter.push(id),
  })
  const held = await until(() => runningOf(world, longer), { within: 30_000, what: 'the longer ones to run' })
  await until(() => shorter.length > 0, { what: 'shorter ones to run as well' })
  const [name, theirs] = [...held].toSorted(([, a], [, b]) => b.length - a.length)[0] ?? ['', []]
  const victim = world.workers.find((worker) => worker.name === name)
  if (!victim) throw new Error(`There is no worker ${name}`)
  world.fault(`SIGTERM ${name}`)
  await victim.term()
  const crashes = await crashesOf(world, longer)
  await creating
  await world.untilQuiet(120_000)

  const reran = await rerunsOf(world, [...shorter, ...longer])
  const wanted = new Set(theirs)
  const wrong = reran.filter(({ id, attempt }) => !wanted.has(id) || attempt !== 2)
  if (crashes > 0) throw new Error(`${crashes} runs that were handed back count as crashed`)
  if (wrong[0])
    throw new Error(`${wrong.length} ran again: ${wrong[0].id} was at attempt ${wrong[0].attempt}`)
  // On a slow machine one may have been so far when the signal came that it ended in time.
  if (reran.length === 0) throw new Error(`None of the ${wanted.size} longer ones was handed back`)
  return reran.length
}

/** Which runs each worker has begun; undefined until all have. */
async function runningOf({ db }: World, ids: string[]): Promise<Map<string, string[]> | undefined> {
  const { rows } = await db.pool.query<{ id: string; worker: string }>(
    `select prediction_id as id, worker from runs
     where prediction_id = any($1) and worker is not null and run_by is not null`,
    [uuidsOf(ids)],
  )
  if (rows.length < ids.length) return undefined
  const byWorker = Map.groupBy(rows, ({ worker }) => worker)
  return new Map([...byWorker].map(([worker, runs]) => [worker, runs.map(({ id }) => id)]))
}

async function crashesOf({ db }: World, ids: string[]): Promise<number> {
  const { rows } = await db.pool.query<{ crashes: number }>(
    'select coalesce(sum(crashes), 0)::integer as crashes from runs where prediction_id = any($1)',
    [uuidsOf(ids)],
  )
  return rows[0]?.crashes ?? 0
}

/** Those that ran again after they had begun. */
async function rerunsOf({ db }: World, ids: string[]): Promise<{ id: string; attempt: number }[]> {
  const { rows } = await db.pool.query<{ id: string; attempt: number }>(
    `select p.id, p.attempt from predictions p
     where p.id = any($1) and exists (
       select from prediction_events e
       where e.prediction_id = p.id and e.kind = 'status' and e.attempt < p.attempt
         and e.data::json ->> 'status' = 'processing')`,
    [uuidsOf(ids)],
  )
  return rows
}

function uuidsOf(ids: string[]): (string | undefined)[] {
  return ids.map((id) => fromTypeId('pred', id))
}
