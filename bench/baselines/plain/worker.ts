import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import { Queue, Worker } from 'bullmq'
import pg from 'pg'
import { redisOf, settings } from './settings.ts'

// An update per transition, a job per webhook, and BullMQ's own retries: what the guides show.
const { databaseUrl, redisUrl, apiKey, port } = settings()
const connection = redisOf(redisUrl)
const pool = new pg.Pool({ connectionString: databaseUrl, max: 20 })
const webhooks = new Queue('webhooks', { connection })

const runs = new Worker(
  'predictions',
  async ({ data: { id } }) => {
    const started = await move(
      `update predictions set status = 'processing', started_at = now() where id = $1 and status = 'pending' returning *`,
      [id],
    )
    if (!started) return
    await notify('prediction.started', started)
    const output = await model(started.input)
    const ended = await move(
      `update predictions set status = 'succeeded', output = $2, completed_at = now() where id = $1 returning *`,
      [id, JSON.stringify(output)],
    )
    if (ended) await notify('prediction.succeeded', ended)
  },
  { connection, concurrency: 50 },
)

const deliveries = new Worker(
  'webhooks',
  async ({ data: { url, body }, id }) => {
    const timestamp = Math.floor(Date.now() / 1000)
    const signature = createHmac('sha256', apiKey).update(`${id}.${timestamp}.${body}`).digest('base64')
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': `${id}`,
        'webhook-timestamp': `${timestamp}`,
        'webhook-signature': `v1,${signature}`,
      },
      body,
    })
    await response.arrayBuffer()
    if (!response.ok) throw new Error(`The receiver answered ${response.status}`)
  },
  { connection, concurrency: 50 },
)

for (const worker of [runs, deliveries]) worker.on('error', (error) => console.error(error))
createServer((_, response) => response.end()).listen(port, '127.0.0.1')

async function model(input: unknown): Promise<unknown> {
  return input
}

async function move(text: string, values: unknown[]): Promise<Row | undefined> {
  const { rows } = await pool.query<Row>(text, values)
  return rows[0]
}

async function notify(type: string, row: Row): Promise<void> {
  if (!row.webhook) return
  const body = JSON.stringify({ type, timestamp: new Date(), data: row })
  const options = { removeOnComplete: true, attempts: 8, backoff: { type: 'exponential', delay: 5_000 } }
  await webhooks.add(type, { url: row.webhook, body }, options)
}

interface Row {
  input: unknown
  webhook: string | null
}
