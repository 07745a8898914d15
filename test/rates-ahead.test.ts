import { setImmediate } from 'node:timers/promises'
import { openRates, type Rates } from '@millrace/limits/open-rates'
import { entryOf, ofRequests, oneOfEach, type RatedEntry, ratesOf } from '@millrace/limits/rates'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freshDatabase } from './harness/database.ts'
import { freshRedis, hearCommands } from './harness/redis.ts'
import { until } from './harness/wait.ts'

describe.each(['redis', 'postgres'] as const)(
  'of what is asked for often, some is counted ahead in %s',
  (kind) => {
    test('and yet no second ever holds more than its limit, whoever asks', async () => {
      const processes = await givenProcesses(kind, 2)
      const [entries] = entriesOf({ requests: 600, window: 1 })
      const granted: { begun: number; ended: number }[] = []
      const over = performance.now() + 4_000
      await Promise.all(
        processes.flatMap((rates) =>
          Array.from({ length: 4 }, async () => {
            while (performance.now() < over) {
              const begun = performance.now()
              const { counted } = await rates.take(entries)
              if (counted) granted.push({ begun, ended: performance.now() })
              await setImmediate()
            }
          }),
        ),
      )

      // Some are answered later than others that began after them.
      const begun = granted.map((one) => one.begun).sort((a, b) => a - b)
      const ended = granted.map((one) => one.ended).sort((a, b) => a - b)
      const spans = ended.slice(600).map((end, n) => end - (begun[n] ?? 0))
      expect(Math.min(...spans)).toBeGreaterThanOrEqual(1_000)
      expect(granted.length).toBeGreaterThan(1_200)
    })

    test('and what was not asked for after all is given back', async () => {
      const [rates] = await givenProcesses(kind, 1)
      const [entries, looking] = entriesOf({ requests: 1_000_000 })
      const asked = await askFor(rates, entries, 1_000)

      await until(async () => (await rates.take(looking)).levels[0]?.used === asked, {
        what: 'the count to be what was asked for',
      })
    })

    test('and as many are let in as the limit says, none more and none fewer', async () => {
      const processes = await givenProcesses(kind, 2)
      const [entries] = entriesOf({ requests: 3_000, window: 3_600 })
      let granted = 0
      await until(
        async () => {
          const answers = await Promise.all(
            processes.flatMap((rates) => Array.from({ length: 8 }, () => rates.take(entries))),
          )
          granted += answers.filter(({ counted }) => counted).length
          return granted >= 3_000
        },
        { what: 'all to be let in' },
      )

      expect(granted).toBe(3_000)
      for (const rates of processes) expect((await rates.take(entries)).counted).toBe(false)
    })
  },
)

test('who asks for the same often costs Redis a call for many', async () => {
  const redis = freshRedis()
  const [rates] = await givenProcesses('redis', 1, redis)
  const [entries] = entriesOf({ requests: 1_000_000 })
  const calls = await hearCommands(redis.url, redis.prefix)
  const asked = await askFor(rates, entries, 2_000)

  expect(asked / (await calls())).toBeGreaterThan(10)
})

/** One after another for so many milliseconds; how many there were. */
async function askFor(rates: Rates, entries: readonly RatedEntry[], ms: number): Promise<number> {
  const over = performance.now() + ms
  let asked = 0
  for (; performance.now() < over; asked++) {
    await rates.take(entries)
    // As requests come: one by one, with all else that goes on in between.
    await setImmediate()
  }
  return asked
}

/** Of one request, and of none, which counts nothing and tells where the rate stands. */
function entriesOf(account: { requests: number; window?: number }): [readonly RatedEntry[], RatedEntry[]] {
  const rates = ratesOf({ accountId: 'somebody', account }, {}, ofRequests)
  return [oneOfEach(rates), rates.map((rate) => entryOf(rate, 0))]
}

async function givenProcesses(
  kind: 'redis' | 'postgres',
  many: number,
  redis = freshRedis(),
): Promise<[Rates, ...Rates[]]> {
  const database = await freshDatabase()
  const open = (): Rates =>
    openRates({
      db: database.db,
      ...(kind === 'redis' && { redisUrl: redis.url, prefix: redis.prefix }),
      onChange: () => undefined,
    })
  const all: [Rates, ...Rates[]] = [open(), ...Array.from({ length: many - 1 }, open)]
  onTestFinished(async () => {
    await Promise.all(all.map((rates) => rates.close()))
    await database.drop()
  })
  await Promise.all(all.map((rates) => rates.opened()))
  return all
}
