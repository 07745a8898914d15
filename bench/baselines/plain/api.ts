import { randomUUID } from 'node:crypto'
import { Queue } from 'bullmq'
import express from 'express'
import pg from 'pg'
import { redisOf, settings } from './settings.ts'

// What a good engineer builds from the guides of Express, BullMQ and pg: an insert and a job per request.
const { databaseUrl, redisUrl, apiKey, port } = settings()
const pool = new pg.Pool({ connectionString: databaseUrl, max: 20 })
const queue = new Queue('predictions', { connection: redisOf(redisUrl) })
const app = express()
app.get('/readyz', (_, response) => {
  response.end()
})
app.use(express.json())
app.use((request, response, next) => {
  if (request.headers.authorization === `Bearer ${apiKey}`) next()
  else response.status(401).json({ error: 'A valid API key is needed.' })
})

app.post('/v1/predictions', async (request, response) => {
  const { model, input, webhook } = request.body
  if (typeof model !== 'string' || typeof input !== 'object') {
    response.status(400).json({ error: 'model and input are required.' })
    return
  }
  const { rows } = await pool.query(
    'insert into predictions (id, model, input, webhook) values ($1, $2, $3, $4) returning *',
    [randomUUID(), model, input, webhook?.url ?? null],
  )
  await queue.add('run', { id: rows[0].id }, { removeOnComplete: true })
  response.status(201).json(rows[0])
})

app.get('/v1/predictions/:id', async (request, response) => {
  const { rows } = await pool.query('select * from predictions where id = $1', [request.params.id])
  if (rows[0]) response.json(rows[0])
  else response.status(404).json({ error: 'There is no such prediction.' })
})

app.get('/v1/predictions', async (_, response) => {
  const { rows } = await pool.query('select * from predictions order by created_at desc limit 20')
  response.json({ data: rows })
})

app.listen(port, '127.0.0.1')
