import { randomUUID } from 'node:crypto'
import { until } from '../../harness/wait.ts'
import { create, createMany, createSurely } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'

export const killBeforeRing: Scenario = {
  name: 'kill-before-ring',
  fault: 'kill -9 of an api between the commit of a create and its bell',
  outcome: 'the prediction starts within 2 s all the same',
  async run(world, { predictions, long }) {
    await createMany(world.client, { count: 32, body: () => ordinary(world) }) // the models are loaded
    await world.untilQuiet()
    const kills = long ? 16 : 2
    const starts: Starts[] = []
    for (let kill = 0; kill < kills; kill++) {
      starts.push(await killAfterCommit(world, Math.ceil(predictions / kills)))
      await world.untilQuiet()
    }
    const unrung = starts.reduce((sum, { count }) => sum + count, 0)
    const slowest = Math.max(...starts.map(({ slowest }) => slowest))
    // The sweeper rings after a second: what starts sooner was rung for.
    const swept = starts.filter(({ fastest }) => fastest > 900).length
    if (swept === 0) throw new Error('The bell was out each time before the api was dead')
    if (long && slowest > 2_000) throw new Error(`It took ${slowest} ms to start without a bell`)
    return { kills, swept, unrung, slowest_start: slowest }
  },
}

/** Kills an api once creates are stored and not yet answered. Answers how what was stored started, before anybody retried. */
async function killAfterCommit(world: World, count: number): Promise<Starts> {
  const nth = world.random.below(world.apis.length)
  const [victim, url] = [world.apis[nth], world.client.urls[nth]]
  if (!victim || !url) throw new RangeError(`There is no api ${nth}`)
  await victim.present()
  let killed: Promise<void> | undefined
  const onLost = () => {
    killed ??= victim.kill()
  }
  victim.postgres.loseAnswers({ marks: acceptStatements, times: count, onLost })
  world.fault(`kill -9 ${victim.name} after its next commit`)
  const creates = Array.from({ length: count }, () => ({ key: `key-${randomUUID()}`, body: ordinary(world) }))
  const keys = creates.map(({ key }) => key)
  const alone = { ...world.client, urls: [url] }
  await Promise.all(creates.map(({ key, body }) => create(alone, body, key)))
  victim.postgres.loseAnswers({ marks: [], times: 0 })
  if (killed === undefined) throw new Error(`${victim.name} stored nothing`)
  await killed

  const starts = await until(() => startsOf(world, keys), {
    within: 60_000,
    what: 'all that is stored to start',
  })
  await Promise.all(creates.map(({ key, body }) => createSurely(world.client, body, key)))
  return starts
}

/** Undefined until every prediction of these keys has started. */
async function startsOf({ db }: World, keys: string[]): Promise<Starts | undefined> {
  const { rows } = await db.pool.query<{ ms: number | null }>(
    `select extract(epoch from p.started_at - p.created_at)::float8 * 1000 as ms
     from predictions p join idempotency_keys k on k.prediction_id = p.id where k.key = any($1)`,
    [keys],
  )
  const times = rows.flatMap(({ ms }) => ms ?? [])
  if (rows.length === 0 || times.length < rows.length) return undefined
  return { count: rows.length, fastest: Math.min(...times), slowest: Math.max(...times) }
}

/**
 * The statements' names as a Bind message has them, after the empty name of the portal: those that store something for an
 * account that is told of creations, as all are here.
 */
const acceptStatements = ['\0accept-told\0', '\0accept-scarce\0', '\0accept-budgeted\0']

/** How many started, and how long after their creation, in milliseconds. */
interface Starts {
  count: number
  fastest: number
  slowest: number
}
