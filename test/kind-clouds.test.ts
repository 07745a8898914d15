import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'
import * as fal from './hosts/fal.ts'
import * as replicate from './hosts/replicate.ts'
import { givenCallback, isReady, openRuns } from './remote-run.ts'

/** What is the same of both, and how each says it. */
const clouds = [
  {
    kind: 'replicate',
    async open() {
      const host = await replicate.openHost({ streams: false })
      return { host, cancelThere: () => host.end('canceled') }
    },
    forged: { status: 'succeeded', output: 'FORGED' },
    isCreate: (path: string) => path.endsWith('/predictions'),
    inputOf: (body: { input: { file: unknown } }) => body.input,
  },
  {
    kind: 'fal',
    async open() {
      const host = await fal.openHost()
      const cancelled = { detail: 'Request was cancelled', error_type: 'client_cancelled' }
      return { host, cancelThere: () => host.end(499, cancelled) }
    },
    forged: { status: 'OK', payload: { output: 'FORGED' } },
    isCreate: (path: string) => path.endsWith('/deluxe'),
    inputOf: (body: { file: unknown }) => body,
  },
]

describe.each(clouds)('$kind', ({ open, forged, isCreate, inputOf }) => {
  async function given(timeoutMs?: number) {
    const opened = await open()
    onTestFinished(() => opened.host.close())
    const runs = await openRuns(opened.host.description, timeoutMs === undefined ? {} : { timeoutMs })
    return { ...opened, ...runs }
  }

  test('what is posted to the webhook is not believed', async () => {
    const { start, host } = await given()
    const callback = await givenCallback()
    const { outcome, ...run } = start({ do: 'hang' }, { callback })
    await until(() => isReady(run), { what: 'the work to begin' })
    await fetch(callback.url, { method: 'POST', body: JSON.stringify(forged) })
    host.release()
    expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
  })

  test('a large file of the input is uploaded, a small one travels inside, a URL stays one', async () => {
    const { host, start, folder } = await given()
    const sent = async (file: string) => {
      const { output } = (await start({ do: 'take-file', file }).outcome) as { output?: unknown }
      const created = host.asked.findLast(({ path }) => isCreate(path))
      return { output, file: inputOf(JSON.parse(String(created?.body))).file }
    }
    await writeFile(join(folder, 'large.png'), Buffer.alloc(300_000))
    await writeFile(join(folder, 'small.png'), Buffer.alloc(1000))
    const site = await startReceiver({ body: 'x'.repeat(77) })
    onTestFinished(() => site.close())

    const uploaded = expect.stringContaining(`${host.url}/files/`)
    expect(await sent(join(folder, 'large.png'))).toEqual({ output: '300000', file: uploaded })
    const small = await sent(join(folder, 'small.png'))
    expect(small).toEqual({ output: '1000', file: expect.stringMatching(/^data:image\/png;base64,/) })
    const data = `data:image/png;base64,${Buffer.alloc(400_000).toString('base64')}`
    expect(await sent(data)).toEqual({ output: '400000', file: uploaded })
    expect(await sent(`${site.url}far.png`)).toEqual({ output: '77', file: `${site.url}far.png` })
  })

  test('a large data URL that is broken is refused and sent nowhere', async () => {
    const { host, start } = await given()
    const file = `data:image/png;base64,${'*'.repeat(400_000)}`
    expect(await start({ do: 'take-file', file }).outcome).toMatchObject({ kind: 'failed' })
    expect(host.asked).toEqual([])
  })

  test('a job that was cancelled by others is not tried again', async () => {
    const { cancelThere, start } = await given()
    const run = start({ do: 'hang' })
    await until(() => isReady(run), { what: 'the work to begin' })
    cancelThere()
    expect(await run.outcome).toMatchObject({ kind: 'failed', detail: expect.stringContaining('cancelled') })
  })

  test('a cloud that is away for a moment goes on with the work', async () => {
    const { host, start } = await given(2_000)
    const asked = () => host.asked.filter(({ method }) => method === 'GET').length
    const run = start({ do: 'hang' })
    await until(() => isReady(run), { what: 'the work to begin' })
    host.goAway()
    const before = asked()
    await until(() => asked() > before, { what: 'a look in vain' })
    host.comeBack()
    host.release()
    expect(await run.outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
  })

  test('a cloud that stays away keeps the job, and the next attempt takes it up', async () => {
    const { host, start } = await given(300)
    const first = start({ do: 'hang' })
    await until(() => isReady(first), { what: 'the work to begin' })
    host.goAway()
    const away = await first.outcome
    expect(away).toMatchObject({ kind: 'unavailable', down: true })
    expect(away).not.toHaveProperty('jobIsOver')
    host.comeBack()
    const second = start({ do: 'hang' }, { job: first.kept.at(-1) })
    await until(() => isReady(second), { what: 'the job to be taken up' })
    host.release()
    expect(await second.outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
    expect([host.created(), await host.cancelled()]).toEqual([1, 0])
  })
})
