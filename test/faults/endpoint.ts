import type { Receiver } from '../harness/receiver.ts'
import { until } from '../harness/wait.ts'
import type { World } from './world.ts'

/** An account endpoint with a recording receiver behind it, made through the api. */
export async function openEndpoint(
  world: World,
  { events, headers = {}, answer = {} }: Wanted,
): Promise<Opened> {
  // It is made without a target of its own, since its receiver checks signatures and so must know its secret first.
  const made = await call(world, 'POST', '', { url: world.receiver.url, events, headers, active: false })
  const { secret } = await call(world, 'GET', `/${made.id}/secret`)
  const name = `the secret of ${made.id}`
  world.secrets[name] = String(secret)
  const receiver = await world.receive(answer, String(secret))
  await call(world, 'PATCH', `/${made.id}`, { url: receiver.url, active: true })
  return {
    id: String(made.id),
    events,
    receiver,
    untilDisabled: () =>
      until(async () => (await call(world, 'GET', `/${made.id}`)).active === false, {
        within: 60_000,
        what: 'the endpoint to be disabled',
      }).then(() => {}),
    remove: () => call(world, 'DELETE', `/${made.id}`).then(() => {}),
  }
}

async function call({ client }: World, method: string, path: string, body?: object) {
  const answer = await fetch(`${client.urls[0]}/v1/webhooks${path}`, {
    method,
    headers: { authorization: `Bearer ${client.apiKey}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  const json = (await answer.json()) as Record<string, unknown>
  if (!answer.ok) throw new Error(`${method} /v1/webhooks${path} was answered ${JSON.stringify(json)}`)
  return json
}

interface Wanted {
  events: string[]
  headers?: Record<string, string>
  answer?: Parameters<World['receive']>[0]
}

interface Opened {
  id: string
  events: string[]
  receiver: Receiver
  untilDisabled(): Promise<void>
  remove(): Promise<void>
}
