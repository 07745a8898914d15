import { countText } from '@millrace/inference/count-tokens'
import { freePort } from '@millrace/standalone/ports'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callsOf, readCharges } from './charged-calls.ts'
import { type PlannedService, startPlanned } from './given-planned-calls.ts'
import type { Service } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { type ChatQuestion, say } from './hosts/chat.ts'
import { loggedCall } from './logged-call.ts'
import { moneyOf } from './money-of.ts'
import { chunksAt, type PlannedCall, packetsOf, textAt } from './three-books.ts'

const rows = await readCharges()

/** Credits for a token. */
const price = { input: 0.5, output: 100 }

let planned: PlannedService
let service: Service
beforeAll(async () => {
  planned = await startPlanned({ calls: rows.flatMap(callsOf), script: obey, modelOf: nameOf, described })
  service = planned.service
})
afterAll(() => planned.stop())

test('the table has a row for each way', () => {
  expect(rows.length).toBeGreaterThanOrEqual(20)
  for (const row of rows) expect(callsOf(row), `${row.asked}, ${row.after}`).not.toHaveLength(0)
})

const usual = rows.filter(({ by }) => by !== "the server's stop")
test.each(usual)(
  '$asked ended by $by after $after: charged is $charged',
  { timeout: 60_000 },
  async (row) => {
    const calls = callsOf(row)
    await Promise.all(calls.map((call) => ask(service.url, call)))
    for (const call of calls) expect(await chargedFor(call), nameOf(call)).toBe(row.charged)
    await nothingIsHeld()
  },
)

test('what is not over when the server stops is charged by the table, before it has stopped', {
  timeout: 120_000,
}, async () => {
  const port = await freePort()
  const other = await service.start('api', { PORT: String(port) })
  const stopped = rows.filter(({ by }) => by === "the server's stop")
  const asked = stopped.flatMap((row) => callsOf(row).map((call) => ({ row, call })))
  const answers = asked.map(({ call }) => ask(`http://127.0.0.1:${port}`, call))
  await until(() => asked.every(({ call }) => isAt(call)), { what: 'each call to be where it is to end' })

  expect(await other.stop()).toBe(0)

  const { held, balance, entries } = await moneyOf(service.db, service.accountId)
  expect([held, balance]).toEqual([0, entries])
  await Promise.all(answers)
  for (const { row, call } of asked) expect(await chargedFor(call), nameOf(call)).toBe(row.charged)
})

/** Asks, and leaves where that is the client's part. */
async function ask(url: string, call: PlannedCall): Promise<void> {
  const abort = new AbortController()
  const client = { body: '' }
  const answered = read(client, url, call, abort.signal).catch((error: unknown) => {
    if (!abort.signal.aborted) throw error
  })
  if (call.by === 'the client') {
    const chunks = call.stream ? chunksAt(call.place) : 0
    await until(() => isAt(call) && client.body.split('"choices"').length - 1 === chunks, {
      what: `${nameOf(call)} to be where it is to end`,
    })
    abort.abort()
  }
  await answered
}

async function read(client: { body: string }, url: string, call: PlannedCall, signal: AbortSignal) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    signal,
    headers: {
      'x-api-key': service.apiKey,
      'content-type': 'application/json',
      'x-request-id': nameOf(call),
    },
    body: JSON.stringify({
      model: nameOf(call),
      stream: call.stream,
      max_tokens: 10,
      messages: [{ role: 'user', content: JSON.stringify(call) }],
    }),
  })
  const text = new TextDecoder()
  for await (const bytes of response.body ?? []) client.body += text.decode(bytes, { stream: true })
}

/** What the ledger says of a call, in the words of the table. */
async function chargedFor(call: PlannedCall): Promise<string> {
  const logged = await loggedCall(service, nameOf(call))
  const entry = await entryOf(logged)
  expect(entry).toBe(logged.credits / 1_000_000)
  if (entry === 0) return 'nothing'
  const wasTold = call.usage && (call.stream ? call.place >= 5 && call.by !== 'the client' : true)
  if (wasTold && entry === 3 * price.input + 2 * price.output) return 'what was used'
  const words = await countText(call.stream ? textAt(call.place) : 'Hello mill')
  if (wasTold || words === 0) return `${entry} credits`
  if (entry !== logged.input_tokens * price.input + words * price.output) return `${entry} credits`
  const isWhole = call.by !== 'the client' && call.place >= (call.stream ? 4 : 3)
  return isWhole ? 'what was used' : 'the prompt and those words'
}

/** In credits, once it is booked. */
async function entryOf({ id, credits }: { id: string; credits: number }): Promise<number> {
  const amount = await until(
    async () => {
      const { rows: found } = await service.db.pool.query<{ amount: number }>(
        'select amount from ledger_entries where call_id = $1',
        [id],
      )
      return found.length === (credits > 0 ? 1 : 0) && { is: found[0]?.amount ?? 0 }
    },
    { what: 'the charge to be booked' },
  )
  return amount.is / 1_000_000
}

function nothingIsHeld(): Promise<unknown> {
  return until(
    async () => {
      const { held, holds, balance, entries } = await moneyOf(service.db, service.accountId)
      return held === 0 && holds === 0 && balance === entries
    },
    { what: 'the books to be in order' },
  )
}

/** Says as many packets as it is told to, and then nothing, unless it is the host that ends the call. */
async function obey({ body, socket }: ChatQuestion): Promise<undefined> {
  const call: PlannedCall = JSON.parse(String((body.messages as { content: string }[])[0]?.content))
  for (const packet of packetsOf(call).slice(0, call.place)) await say(socket, packet)
  there.add(nameOf(call))
  if (call.by === 'the host' || call.by === 'its end') socket.end()
}

const there = new Set<string>()

function isAt(call: PlannedCall): boolean {
  return there.has(nameOf(call))
}

function nameOf({ stream, by, place, usage }: PlannedCall): string {
  const words = `${stream ? 'stream' : 'json'} ${by} ${place} ${usage ? 'usage' : 'bare'}`
  return words.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}

function described(call: PlannedCall, base: string): string {
  const timeouts = {
    'its first-byte time-out': '{firstByte: 1}',
    silence: '{idle: 1}',
    'its time limit': '{run: 1}',
  }[call.by]
  return [
    `namespace: ${nameOf(call)}`,
    'type: text',
    'apis: [chat]',
    'retries: 0',
    `pricing: {amount: 0, unit: token, input_amount: ${price.input}, output_amount: ${price.output}}`,
    `timeouts: ${timeouts ?? '{}'}`,
    `provider: {kind: openai, base_url: '${base}', model: inner}`,
  ].join('\n')
}
