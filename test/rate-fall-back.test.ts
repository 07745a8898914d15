import { openRates, type Rates } from '@millrace/limits/open-rates'
import { entryOf, ofRequests, type Rate, ratesOf } from '@millrace/limits/rates'
import { expect, onTestFinished, test } from 'vitest'
import { type FaultProxy, startProxy } from './faults/tcp-proxy.ts'
import { freshDatabase } from './harness/database.ts'
import { freshRedis } from './harness/redis.ts'
import { until } from './harness/wait.ts'

test.each(['refused', 'black-hole'] as const)(
  'with a Redis that is gone (%s) each process limits by itself, and counts with the others again when it is back',
  async (fault) => {
    const { proxy, behind, direct, changes } = await givenRates()
    const rate = rateOf(3)
    expect((await behind.take([entryOf(rate, 1)])).counted).toBe(true)
    proxy.set(fault)
    if (fault === 'refused') proxy.cut('reset')

    // Counted anew and alone, but counted: the first is the one that finds Redis gone.
    const alone: boolean[] = []
    for (let n = 0; n < 5; n++) alone.push((await behind.take([entryOf(rate, 1)])).counted)
    expect(alone).toEqual([true, true, true, false, false])
    expect(changes).toEqual([true])

    proxy.set('none')
    const shared = rateOf(1_000)
    let asked = 0
    await until(
      async () => {
        await behind.take([entryOf(shared, 1)])
        asked++
        return !changes.at(-1)
      },
      { what: 'Redis to be asked again' },
    )
    const [seen] = (await direct.take([entryOf(shared, 1)])).levels
    expect(seen?.used).toBeGreaterThanOrEqual(2)
    expect(seen?.used).toBeLessThanOrEqual(asked + 1)
    expect(changes).toEqual([true, false])
  },
)

test('a silent Redis holds up one ask at a time, and each no longer than it is waited for', async () => {
  const { proxy, behind } = await givenRates()
  const rate = rateOf(100_000)
  await behind.take([entryOf(rate, 1)])
  proxy.set('black-hole')
  const begun = performance.now()
  let asked = 0
  while (performance.now() - begun < 2_000) {
    await behind.take([entryOf(rate, 1)])
    asked++
  }

  // One after another: had each waited for its 50 ms, there would be 40.
  expect(asked).toBeGreaterThan(400)
})

test('a call that Redis counted is not taken back from the process that counts alone meanwhile', async () => {
  const { proxy, behind, direct } = await givenRates()
  const rate = rateOf(10)
  const taken = await behind.take([entryOf(rate, 10)])
  proxy.set('black-hole')
  expect((await behind.take([entryOf(rate, 10)])).counted).toBe(true)

  await taken.settle(() => 0)

  expect((await behind.take([entryOf(rate, 1)])).counted).toBe(false)
  expect((await direct.take([entryOf(rate, 1)])).counted).toBe(false)
})

function rateOf(requests: number): Rate {
  const [rate] = ratesOf({ accountId: 'somebody', account: { requests } }, {}, ofRequests)
  if (!rate) throw new Error('There is no such rate')
  return rate
}

async function givenRates(): Promise<GivenRates> {
  const [database, redis] = [await freshDatabase(), freshRedis()]
  const { hostname, port, protocol } = new URL(redis.url)
  const proxy = await startProxy({ host: hostname, port: Number(port) })
  const changes: boolean[] = []
  const open = (redisUrl: string, onChange: (away: boolean) => void = () => {}) =>
    openRates({ db: database.db, redisUrl, prefix: redis.prefix, onChange })
  const behind = open(`${protocol}//127.0.0.1:${proxy.port}`, (away) => changes.push(away))
  const direct = open(redis.url)
  onTestFinished(async () => {
    await Promise.all([behind.close(), direct.close()])
    await proxy.close()
    await database.drop()
  })
  await Promise.all([behind.opened(), direct.opened()])
  return { proxy, behind, direct, changes }
}

interface GivenRates {
  proxy: FaultProxy
  /** Asks Redis through the proxy. */
  behind: Rates
  /** Asks it past the proxy. */
  direct: Rates
  /** Whether it was told to be away, each time that this changed. */
  changes: boolean[]
}
