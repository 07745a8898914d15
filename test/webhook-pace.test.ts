import type { ClaimedDelivery } from '@millrace/dispatcher/claim-due'
import { createLoad } from '@millrace/dispatcher/load'
import { createPace } from '@millrace/dispatcher/pace'
import { beforeEach, expect, test } from 'vitest'

let time: number
beforeEach(() => {
  time = 1_000_000
})

const given = () => createLoad({ slots: 64, slotsPerAccount: 16, now: () => time })
const one = (host: string, account = 'an-account') => ({ account_id: account, host }) as ClaimedDelivery

/** Sends so many to a host, one after the other, each of which is answered. */
function answer(load: ReturnType<typeof given>, host: string, count: number): void {
  for (let nth = 0; nth < count; nth++) {
    const delivery = one(host)
    void load.turn(delivery)
    load.leave(delivery, true)
  }
}

test('as many as a target answered lately may be claimed ahead, and wait for a slot in their order', async () => {
  const load = given()
  answer(load, 'fast.test', 20)
  expect(load.saturation()).toMatchObject({ inFlight: [{ host: 'fast.test', count: -20 }], closedPairs: [] })
  const claimed = Array.from({ length: 28 }, () => one('fast.test'))
  const gone: number[] = []
  claimed.forEach((delivery, nth) => void load.turn(delivery).then(() => gone.push(nth)))
  await Promise.resolve()
  expect(gone).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  expect(load.saturation().closedPairs).toEqual(['an-account fast.test'])

  for (const delivery of claimed.slice(0, 2)) load.leave(delivery, true)
  await Promise.resolve()
  expect(gone).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('a target that answered nothing yet, or stayed silent since, has nothing claimed ahead', () => {
  const load = given()
  answer(load, 'fast.test', 20)
  const silent = one('fast.test')
  void load.turn(silent)
  load.leave(silent, false)
  expect(load.saturation().inFlight.filter(({ count }) => count < 0)).toEqual([])
})

test('what waits longer than its target seemed to need is given back', async () => {
  const load = given()
  answer(load, 'fast.test', 20)
  const turns = Array.from({ length: 10 }, () => load.turn(one('fast.test')))
  time += 999
  load.sendAway(1_000)
  time += 1
  load.sendAway(1_000)
  expect(await Promise.all(turns)).toEqual([...Array(8).fill(true), false, false])
})

test('who waits behind a full host lets others go first', async () => {
  const load = given()
  answer(load, 'fast.test', 20)
  for (let count = 0; count < 10; count++) void load.turn(one('fast.test'))
  expect(await load.turn(one('other.test'))).toBe(true)
})

test('what follows another goes when that has arrived, and is given back when it has not', async () => {
  const load = given()
  const [created, started, ended] = [one('a.test'), one('a.test'), one('a.test')]
  const gone: string[] = []
  const wait = (name: string, turn: Promise<boolean>) =>
    void turn.then((mayBeSent) => gone.push(`${name} ${mayBeSent}`))
  wait('created', load.turn(created))
  wait('started', load.turn(started, created))
  wait('ended', load.turn(ended, started))
  await Promise.resolve()
  expect(gone).toEqual(['created true'])

  load.leave(created, true, true)
  await Promise.resolve()
  expect(gone).toEqual(['created true', 'started true'])

  load.leave(started, true, false)
  await Promise.resolve()
  expect(gone).toEqual(['created true', 'started true', 'ended false'])
})

test('what is claimed ahead follows the pace, and ends with it', () => {
  const pace = createPace(() => time)
  const ahead = () => pace.ahead().get('a.test') ?? 0
  for (let count = 0; count < 200; count++) pace.report('a.test', true)
  expect(ahead()).toBe(64)
  time += 120
  pace.report('a.test', true)
  expect(ahead()).toBe(64)
  time += 120
  pace.report('a.test', true)
  expect(ahead()).toBe(1)
  time += 250
  expect(ahead()).toBe(0)
})
