import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { accept } from '@millrace/lifecycle/accept'
import { claimWithin } from '@millrace/lifecycle/claim'
import { handBack, releaseWorker } from '@millrace/lifecycle/release'
import { settle } from '@millrace/lifecycle/settle'
import { expect, onTestFinished, test } from 'vitest'
import { givenRemoteModels } from './given-hosts.ts'
import { answering, givenHttpHost } from './given-http-hosts.ts'
import { draft, endings, lifecycleOn } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'
import { untilEnded } from './until-ended.ts'

test('twenty workers that claim at once have no more runs under way than the model and its host allow', async () => {
  const { db, model, take } = await givenLine(20)
  const places = [
    { name: 'model a', limit: 3 },
    { name: 'host b', limit: 5 },
  ]

  const taken = await Promise.all(Array.from({ length: 20 }, (_, n) => take(`worker ${n}`, 2, places)))

  const claims = taken.flatMap((one) => one.claims)
  expect(claims).toHaveLength(3)
  expect(taken.filter(({ full }) => full).length).toBeGreaterThanOrEqual(17)
  // Another model at the same host has what is left of it.
  await accept(
    lifecycleOn(db),
    Array.from({ length: 9 }, () => draft({ model: `${model} 2` })),
  )
  const others = await take('other', 9, [{ name: 'host b', limit: 5 }], `${model} 2`)
  expect([others.claims.length, others.full]).toEqual([2, true])
})

test.each(['ends', 'is handed back', 'loses its worker'])('a run that %s leaves its place', async (how) => {
  const { db, take } = await givenLine(5)
  const places = [{ name: 'model a', limit: 1 }]
  const { claims } = await take('one', 5, places)
  const [held] = claims
  if (!held) throw new Error('nothing was claimed')
  expect(await take('two', 5, places)).toMatchObject({ claims: [], full: true })

  if (how === 'ends') await settle(lifecycleOn(db), [endings(held).cancelled ?? { ...held, verb: 'cancel' }])
  if (how === 'is handed back') await handBack(db, 'one', [held], { delaySeconds: 60 })
  if (how === 'loses its worker') await releaseWorker(db, 'one')

  expect((await take('two', 5, places)).claims).toHaveLength(1)
})

test('what is over takes no room, however far the limit is, and goes in time', async () => {
  const { db, model, take } = await givenLine(1_200)
  const claimAndEnd = async (most: number, limit: number) => {
    const { claims } = await take('one', most, [{ name: `limit ${limit}`, limit }])
    await settle(
      lifecycleOn(db),
      claims.map((claim) => ({ verb: 'cancel', ...claim })),
    )
    return claims.length
  }

  for (let n = 0; n < 12; n++) expect(await claimAndEnd(100, 1_100)).toBe(100)

  // One claim in ten looks what is over where there is room for all.
  await accept(
    lifecycleOn(db),
    Array.from({ length: 200 }, () => draft({ model })),
  )
  const forgets = async () => {
    const before = await takenIn(db)
    expect(await claimAndEnd(1, 1_000_000)).toBe(1)
    return (await takenIn(db)) <= before
  }
  await until(forgets, { what: 'a claim that forgets what is over' })
})

test('a model that states no limit leaves no trace of places', async () => {
  const { db, take } = await givenLine(5)

  expect((await take('one', 5, [])).claims).toHaveLength(5)
  expect((await db.pool.query('select from places_taken')).rowCount).toBe(0)
})

test('over what a model and a host take in all workers predictions wait, and none fails', async () => {
  let inside = 0
  let most = 0
  const host = await givenHttpHost((request) => {
    inside++
    most = Math.max(most, inside)
    const after = delay(100).then(() => {
      inside--
    })
    return { ...answering(200, request.path), after }
  })
  const provider = { kind: 'http', url: host.url, max_running: 2 }
  const service = await givenRemoteModels(
    {
      one: { concurrency: 4, provider },
      two: { concurrency: 4, maxRunning: 1, provider: { kind: 'http', url: `${host.url}two` } },
    },
    { workers: 2 },
  )

  const ids = await Promise.all(
    Array.from({ length: 24 }, (_, n) => service.create(n % 3 === 0 ? 'two' : 'one')),
  )

  const ended = await Promise.all(ids.map((id) => untilEnded(service.call, id)))
  expect(ended.map(({ status }) => status)).toEqual(ids.map(() => 'succeeded'))
  expect(most).toBeLessThanOrEqual(2)
  expect(host.requests).toHaveLength(24)
  // No worker counts as starving that may not claim.
  for (const worker of service.processes) expect(worker.log()).not.toContain('claims nothing')
}, 90_000)

async function takenIn({ pool }: Database): Promise<number> {
  const { rows } = await pool.query(
    'select coalesce(sum(cardinality(ids)), 0)::integer as taken from places_taken',
  )
  return rows[0].taken
}

/** A line of runs of one model, and ways to claim of it. */
async function givenLine(count: number) {
  const database = await freshDatabase()
  onTestFinished(() => database.drop())
  const { db } = database
  const model = `model-${newId()}`
  await accept(
    lifecycleOn(db),
    Array.from({ length: count }, () => draft({ model })),
  )
  return {
    db,
    model,
    take: (worker: string, limit: number, places: { name: string; limit: number }[], of = model) =>
      untilClaimed(() =>
        claimWithin(lifecycleOn(db), { model: of, limit, worker, leaseSeconds: 60, places }),
      ),
  }
}

/** A claim that waits for others too long is refused by the database, and made again. */
function untilClaimed<T extends object>(claim: () => Promise<T>): Promise<T> {
  return until(claim, { what: 'the claim' }) as Promise<T>
}
