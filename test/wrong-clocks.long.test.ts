import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { canSetClocks, wrongClock } from './harness/wrong-clock.ts'

test.runIf(canSetClocks).each(['redis', 'postgres'] as const)(
  'beside workers whose clocks are a minute fast, a minute slow and a day fast, every model runs once (%s)',
  async (queue) => {
    const folder = await givenTallyModel()
    const service = await startService({
      queue,
      env: { MODELS_DIR: folder, LEASE_SECONDS: '2', CONCURRENCY: '4' },
    })
    onTestFinished(() => service.stop())
    const right = service.processes.filter(({ app }) => app === 'worker')
    const wrong = await Promise.all(
      ['+60s', '-60s', '+1d'].map((offset) =>
        service.start('worker', { WORKER_NAME: `off by ${offset}`, ...wrongClock(offset) }),
      ),
    )
    // The clocks are wrong indeed: the logs have their time.
    for (const worker of wrong) expect(Math.abs(offsetOf(worker.log()))).toBeGreaterThan(30_000)
    // Every other run outlives its first lease, so that all workers have to renew.
    const input = (n: number) => ({ n, ms: n % 2 ? 3_500 : 50, into: join(folder, 'tally') })

    const ids: string[] = []
    const all = [...right, ...wrong]
    await until(
      async () => {
        ids.push(
          ...(await Promise.all(
            Array.from({ length: 16 }, (_, n) => create(service, input(ids.length + n))),
          )),
        )
        await until(async () => (await unfinished(service)) < 8, { within: 60_000, what: 'most runs to end' })
        return ids.length >= 48 && all.every((worker) => worker.log().includes('"result":"succeeded"'))
      },
      { within: 60_000, what: 'every worker to have run something' },
    )

    await until(async () => (await unfinished(service)) === 0, { within: 60_000, what: 'all runs to end' })
    const tallied = (await readFile(join(folder, 'tally'), 'utf8')).trim().split('\n').map(Number)
    expect(tallied.toSorted((a, b) => a - b)).toEqual(ids.map((_, n) => n))
    expect(await oddRows(service)).toEqual([])
  },
  120_000,
)

/** A model that notes each of its runs, however many there are of one prediction. */
async function givenTallyModel(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-clocks-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(
    join(folder, 'tally.mjs'),
    `import { appendFileSync } from 'node:fs'
    export default {
      namespace: 'tally', type: 'data', concurrency: 8, input_schema: { type: 'object' },
      async run({ n, ms, into }) {
        appendFileSync(into, n + '\\n')
        await new Promise((resolve) => setTimeout(resolve, ms))
        return { n }
      },
    }`,
  )
  return folder
}

async function create({ url, apiKey }: Service, input: Record<string, unknown>): Promise<string> {
  const answer = await fetch(`${url}/v1/predictions`, {
    method: 'POST',
    headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tally', input }),
  })
  expect(answer.status).toBe(201)
  const { id } = (await answer.json()) as { id: string }
  return id
}

async function unfinished({ db }: Service): Promise<number> {
  const { rows } = await db.pool.query('select count(*)::int as count from runs')
  return rows[0].count
}

/** The predictions that did not succeed at the first attempt, or whose times are out of order. */
async function oddRows({ db }: Service): Promise<unknown[]> {
  const { rows } = await db.pool.query(
    `select id, status, attempt, error, created_at, started_at, completed_at from predictions
     where status <> 'succeeded' or attempt <> 1
        or not (created_at <= started_at and started_at <= completed_at)
        or completed_at > clock_timestamp()`,
  )
  return rows
}

function offsetOf(log: string): number {
  const [, time = ''] = /"time":"([^"]+)"/.exec(log) ?? []
  return new Date(time).getTime() - Date.now()
}
