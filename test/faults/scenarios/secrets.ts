import { randomUUID } from 'node:crypto'
import { openEndpoint } from '../endpoint.ts'
import { createMany } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'

/** The judge looks for them after every scenario; this one sees to it that all of them are in use when things fail. */
export const secrets: Scenario = {
  name: 'secrets',
  shortOn: 'redis',
  fault: 'secrets in inputs and in headers of webhooks, while runs fail and processes die',
  outcome: 'they reach whom they are for, and nobody else',
  async run(world, { predictions, long }) {
    const token = secret(world, "a model's password", 'token')
    const bearer = `Bearer ${secret(world, "a webhook's own header", 'bearer')}`
    const endpoint = await openEndpoint(world, {
      events: ['prediction.succeeded', 'prediction.failed'],
      headers: { authorization: bearer },
    })

    world.fault('runs fail and a worker dies')
    const creating = createMany(world.client, {
      count: long ? predictions : Math.min(predictions, 40),
      body: (nth) =>
        nth % 2 === 0
          ? { model: 'vault', input: { token, fail: nth % 4 === 0 } }
          : ordinary(world, { fail: nth % 3 === 0 ? 'on request' : undefined }),
    })
    await world.random.pick(world.workers).kill()
    await refuse(world, token)
    await creating
    await world.untilQuiet(120_000)
    await endpoint.remove()

    const strays = endpoint.receiver.requests.filter(({ headers }) => headers.authorization !== bearer)
    if (endpoint.receiver.requests.length === 0) throw new Error('The endpoint got nothing')
    if (strays.length > 0) throw new Error(`${strays.length} webhooks came without their own header`)
    const told = endpoint.receiver.requests.filter(({ body }) => body.includes(token))
    if (told.length > 0) throw new Error(`${told.length} webhooks tell a model's password`)
    await assertSealed(world, token)
    return { secrets: Object.keys(world.secrets).length, webhooks: endpoint.receiver.requests.length }
  },
}

/** Requests that are refused, with secrets where they do not belong. */
async function refuse({ client }: World, token: string): Promise<void> {
  const send = (path: string, body: string, headers: Record<string, string> = {}) =>
    fetch(`${client.urls[0]}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${client.apiKey}`, ...headers },
      body,
    }).then((answer) => answer.text())
  const answers = await Promise.all([
    send('/v1/predictions', JSON.stringify({ model: 'vault', input: { token: [token] } })),
    send('/v1/predictions', `{"model":"vault","input":{"token":"${token}"`),
    send(
      '/v1/predictions',
      JSON.stringify({ model: 'vault', input: { token, other: 1 }, timeouts: { run: 'x' } }),
    ),
    send('/v1/predictions', '{}', { authorization: `Basic ${token}` }),
    send('/v1/webhooks', JSON.stringify({ url: 'ftp://x', headers: { authorization: token } })),
  ])
  const telling = answers.find((answer) => answer.includes(token))
  if (telling) throw new Error(`A refusal tells the secret that it refuses: ${telling.slice(0, 200)}`)
}

/** Nothing of a model's password is to be read in the database either, whoever asks. */
async function assertSealed({ db }: World, token: string): Promise<void> {
  const { rows: tables } = await db.pool.query<{ name: string }>(
    `select format('%I', relname) as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`,
  )
  for (const { name } of tables) {
    const { rows } = await db.pool.query(`select from ${name} t where position($1 in t::text) > 0 limit 1`, [
      token,
    ])
    if (rows.length > 0) throw new Error(`A model's password can be read in ${name}`)
  }
}

/** A new one that the judge looks for from now on. */
function secret(world: World, name: string, prefix: string): string {
  const value = `${prefix}-${randomUUID()}`
  world.secrets[name] = value
  return value
}
