import { canSetClocks, wrongClock } from '../../harness/wrong-clock.ts'
import { createMany } from '../load.ts'
import { type Notes, openNotes } from '../notes.ts'
import type { Scenario } from '../scenario.ts'
import type { World } from '../world.ts'

export const clockSkew: Scenario = {
  name: 'clock-skew',
  fault: "a worker's clock is 60 s ahead, 60 s behind, a day ahead",
  outcome: 'no run is done twice',
  // Without libfaketime nobody can set the clock of one process.
  ...(canSetClocks ? {} : { queues: [] }),
  async run(world, { predictions, long }) {
    // Each of them has a short test of its own in wrong-clocks.long.test.ts.
    const offsets = long ? ['+60s', '-60s', '+1d'] : [world.random.pick(['+60s', '-60s', '+1d'])]
    const notes = await openNotes()
    try {
      for (const offset of offsets) {
        await runBeside(world, notes, { offset, count: Math.ceil(predictions / offsets.length) })
      }
      return { runs: await runsDone(world, notes) }
    } finally {
      await notes.remove()
    }
  },
}

async function runBeside(world: World, notes: Notes, { offset, count }: Skew): Promise<void> {
  const wrong = world.random.pick(world.workers)
  world.fault(`the clock of ${wrong.name} is off by ${offset}`)
  await wrong.restartWith(wrongClock(offset))
  // Some outlast their first lease, so that both workers renew.
  const delayMs = (nth: number) =>
    nth % 30 === 0 ? world.leaseSeconds * 1_200 : 10 + world.random.below(100)
  await createMany(world.client, {
    count,
    keyed: true, // one that was made twice would be noted as run twice
    body: (nth) => notes.body(`${offset}/${nth}`, delayMs(nth)),
  })
  await world.untilQuiet(120_000)
  const { log } = await wrong.present()
  if (!log().includes('"result":"succeeded"')) throw new Error(`${wrong.name} did nothing`)
  world.fault(`the clock of ${wrong.name} is right again`)
  await wrong.restartWith({})
}

async function runsDone({ db }: World, notes: Notes): Promise<number> {
  const begun = notes.read().filter(({ what }) => what === 'begun')
  const twice = begun.find(({ name }, nth) => begun.findIndex((one) => one.name === name) < nth)
  if (twice) throw new Error(`${twice.name} was run twice`)
  const { rows } = await db.pool.query(
    `select count(*)::int as odd from predictions where model = 'noted' and completed_at > clock_timestamp()`,
  )
  if (rows[0].odd > 0) throw new Error(`${rows[0].odd} ended in the future`)
  return begun.length
}

interface Skew {
  offset: string
  count: number
}
