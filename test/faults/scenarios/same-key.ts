import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Created, create, createSurely } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'

export const sameKey: Scenario = {
  name: 'same-key',
  shortOn: 'postgres',
  fault: '100 concurrent creates with one idempotency key, some with another body, an api killed in between',
  outcome:
    'one prediction a key, the answers of the contract, and an order of the calls that explains them all',
  async run(world, { predictions, long }) {
    const keys = Math.ceil(predictions / (long ? 100 : 30))
    let replayed = 0
    let kills = 0
    for (let nth = 0; nth < keys; nth++) {
      const kill = nth % 2 === 1
      if (kill) kills++
      replayed += await createAtOnce(world, { count: 100, kill })
    }
    await world.untilQuiet()
    return { keys, kills, replayed }
  },
}

/** Many creates under one key over every api; then asks once more with the body that won, for what stands. */
async function createAtOnce(world: World, { count, kill }: Burst): Promise<number> {
  const key = `key-${randomUUID()}`
  const bodies = ['one', 'another'].map((text) => ordinary(world, { which: text }))
  const sent = Array.from({ length: count }, async () => {
    const body = world.random.pick(bodies)
    await delay(world.random.below(50))
    return { body, ...(await create(world.client, body, key)) }
  })
  if (kill) await killOneApi(world)
  const answers = await Promise.all(sent)
  for (const api of world.apis) await api.present()

  const wrong = answers.find((answer) => !isOfTheContract(answer, kill))
  if (wrong) throw new Error(`${key} was answered with ${wrong.status} ${wrong.error ?? ''}`)
  const winner = answers.find(({ id }) => id)
  const ids = await Promise.all(bodies.map((body) => createSurely(world.client, body, key)))
  if (ids.filter((id) => id !== undefined).length !== 1)
    throw new Error(`${key} stands for ${ids.join(' and ')}`)
  if (winner && !ids.includes(winner.id))
    throw new Error(`${key} stands for ${ids.join(' and ')}, not ${winner.id}`)
  return answers.filter(({ id }) => id).length
}

async function killOneApi({ apis, random, fault }: World): Promise<void> {
  await delay(random.below(60))
  const victim = random.pick(apis)
  fault(`kill -9 ${victim.name}`)
  await victim.kill()
}

/** Without a fault there is one of three answers. An api that is killed answers nothing, and refuses while it is away. */
function isOfTheContract({ status, id, error, retryAfter }: Created, killed: boolean): boolean {
  if (id) return status === 201
  if (error === 'IDEMPOTENCY_KEY_REUSED') return status === 422
  if (error === 'IDEMPOTENCY_IN_PROGRESS') return status === 409 && retryAfter
  return killed && status === 0
}

interface Burst {
  count: number
  kill: boolean
}
