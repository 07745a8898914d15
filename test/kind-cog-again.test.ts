import { expect, test } from 'vitest'
import { until } from './harness/wait.ts'
import { unreachableCallback } from './hosts/callbacks.ts'
import { givenCallbacks, givenCog } from './hosts/given-cog.ts'

test('a run in the background survives its worker: the next one takes it up, and nothing is done twice', async () => {
  const { host, run } = await givenCog()
  const callback = await givenCallbacks()
  const first = run({ do: 'hang' }, { callback })
  await first.ready
  first.abort('drain')
  expect(await first.outcome).toEqual({ kind: 'aborted' })
  expect(await host.cancelled()).toBe(0)

  const next = run({ do: 'hang' }, { callback, attempt: 2, job: first.kept[0] })
  await next.ready
  host.release()

  expect(await next.outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
  expect(host.created()).toBe(1)
  expect(await host.cancelled()).toBe(0)
})

test('a run of a model that cannot stream is taken up by its callback', async () => {
  const { host, run } = await givenCog({ streaming: false })
  const callback = await givenCallbacks()
  const first = run({ do: 'hang' }, { callback })
  await first.ready
  first.abort('lost')
  await first.outcome
  const next = run({ do: 'hang' }, { callback, attempt: 2, job: first.kept[0] })
  await next.ready
  host.release()
  expect(await next.outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
  expect(host.created()).toBe(1)
})

test('what nobody can be told of any more is called off and done again', async () => {
  const { host, run } = await givenCog({ streaming: false })
  const first = run({ do: 'hang' }, { callback: await givenCallbacks() })
  await first.ready
  first.abort('lost')
  await first.outcome
  const next = run({ do: 'succeed', text: 'x' }, { attempt: 2, job: first.kept[0] })
  expect(await next.outcome).toMatchObject({ kind: 'succeeded', output: 'X' })
  expect([host.created(), await host.cancelled()]).toEqual([2, 1])
})

test('a run that went with its connection is begun anew under a name of its own', async () => {
  const { host, run } = await givenCog()
  const first = run({ do: 'hang' })
  await first.ready
  first.abort('drain')
  await first.outcome
  await until(async () => (await host.cancelled()) === 1, { what: 'the container to let go of it' })
  const next = run(
    { do: 'succeed', text: 'x' },
    { id: 'prediction-1', attempt: 2, job: { id: 'prediction-1-1' } },
  )
  expect(await next.outcome).toMatchObject({ kind: 'succeeded', output: 'X' })
})

test('a run that its earlier worker left while it was being cancelled is begun anew', async () => {
  const noticed = Promise.withResolvers<void>()
  const { host, run } = await givenCog({ untilNoticed: () => noticed.promise })
  const first = run({ do: 'hang' })
  await first.ready
  first.abort('drain')
  await first.outcome
  const next = run({ do: 'succeed', text: 'x' }, { attempt: 2, job: { id: 'prediction-1-1' } })
  await until(() => host.requests.length === 2, { what: 'the next attempt' })
  noticed.resolve()
  expect(await next.outcome).toMatchObject({ kind: 'succeeded', output: 'X' })
  expect(host.requests.at(-1)).toBe('PUT /predictions/prediction-2-2')
})

test('a model with effects outside is never begun twice', async () => {
  const { host, run } = await givenCog({ model: { rerun: 'never' } })
  const callback = await givenCallbacks()
  const first = run({ do: 'hang' }, { callback })
  await first.ready
  expect(callback.posts).toEqual([])
  expect(first.kept).toEqual([{ id: 'prediction-1-1' }])
  first.abort('lost')
  await first.outcome

  const next = run({ do: 'hang' }, { callback, attempt: 2, job: first.kept[0] })
  expect(await next.outcome).toMatchObject({ kind: 'unavailable', uncertain: true })
  expect(host.created()).toBe(1)
})

test('a model with effects outside that was turned away may be tried again', async () => {
  const { run } = await givenCog({ model: { rerun: 'never' } })
  const first = run({ do: 'busy' })
  expect(await first.outcome).toMatchObject({ kind: 'unavailable', busy: true })
  const next = run({ do: 'succeed', text: 'x' }, { attempt: 2, job: first.kept.at(-1) })
  expect(await next.outcome).toMatchObject({ kind: 'succeeded', output: 'X' })
})

test.each([true, false])('a callback that stays silent loses no run (streaming: %s)', async (streaming) => {
  const { host, run } = await givenCog({ streaming }, 1000)
  const callback = await unreachableCallback()
  const { outcome, ready } = run({ do: 'hang' }, { callback })
  await ready
  host.release()
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
  // Where it can be had over a stream nothing is done twice; the next one does not try the callback again.
  expect(host.created()).toBe(streaming ? 1 : 2)
  await run({ do: 'succeed' }, { callback }).outcome
  expect(host.created()).toBe(streaming ? 2 : 3)
})

test('a report of the end that got lost is made up for', async () => {
  const { host, run } = await givenCog({ streaming: false }, 1000)
  const callbacks = await givenCallbacks()
  // Only what tells of the end is lost.
  const callback = {
    url: callbacks.url,
    listen: (hear: (body: unknown) => void) =>
      callbacks.listen((body) => (body as { status: string }).status === 'processing' && hear(body)),
  }
  expect(await run({ do: 'succeed', text: 'x' }, { callback }).outcome).toMatchObject({ output: 'X' })
  expect(host.running()).toEqual([])
})

test('reports of another run, or that are none, are not listened to', async () => {
  const { host, run } = await givenCog()
  const callback = await givenCallbacks()
  const { outcome, ready } = run({ do: 'hang' }, { callback })
  await ready
  for (const body of [
    { id: 'another', status: 'succeeded', output: 'No' },
    { status: 'done' },
    'text',
    null,
  ]) {
    await fetch(callback.url, { method: 'POST', body: JSON.stringify(body) })
  }
  host.release()
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
})

test('a stream that has lost its beginning is not followed: the run starts over', async () => {
  const { host, run } = await givenCog({ historyCapacity: 1 })
  const callback = await givenCallbacks()
  const first = run({ do: 'log', text: 'x' }, { callback })
  await first.outcome
  const hanging = run({ do: 'hang' }, { callback })
  await hanging.ready
  hanging.abort('lost')
  await hanging.outcome
  host.release()
  // Where it can report it is listened to first.
  const next = run({ do: 'hang' }, { attempt: 2, job: hanging.kept[0] })
  expect(await next.outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
})

test('a run that says nothing for long is waited for where its stream cannot be followed', async () => {
  const { host, run } = await givenCog({ historyCapacity: 1 }, 2000)
  const callback = await givenCallbacks()
  await run({ do: 'succeed' }, { callback }).outcome
  const { outcome, ready } = run({ do: 'prints-and-hangs' }, { callback })
  await ready
  // Joined once over a stream that is of no use, then asked for again in the background.
  await until(() => host.requests.length >= 4, { what: 'the container to be asked about it' })
  host.release()
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
  expect(host.created()).toBe(2)
})
