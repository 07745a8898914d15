import { createMany } from '../load.ts'
import { repeat } from '../repeat.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'

export const endlessAnswers: Scenario = {
  name: 'endless-answers',
  shortOn: 'postgres',
  fault: 'a receiver that answers each webhook with 1 GB',
  outcome: 'the start of it is read and no more; memory stays flat',
  async run(world, { predictions, long }) {
    let most = 0
    const receiver = await world.receive(() => ({
      body: oneGigabyte((sent) => (most = Math.max(most, sent))),
    }))
    const webhook = { url: receiver.url, events: ['completed'] }

    // What a busy process grows by is not what these answers cost.
    await createMany(world.client, { count: Math.ceil(predictions / 2), body: () => ordinary(world) })
    await world.untilQuiet()
    const before = await residentMegabytes(world)
    let peak = before
    const sample = async () => {
      peak = Math.max(peak, await residentMegabytes(world))
    }
    const sampling = repeat(1_000, sample)
    world.fault('answers of 1 GB')
    const answered = createMany(world.client, {
      count: long ? Math.ceil(predictions / 2) : 8,
      body: () => ({ ...ordinary(world), webhook }),
    }).then(() => world.untilQuiet())
    await answered.finally(() => sampling.stop())
    await sample()
    const grown = peak - before

    const answers = receiver.requests.length
    if (most > readAtMost) throw new Error(`${most} bytes of one answer were taken`)
    if (long && grown > 64)
      throw new Error(`The dispatcher had grown by ${grown} MB at most over ${answers} answers`)
    return { answers, 'KB taken of one at most': most / 1024, 'MB grown at most': grown }
  },
}

/** 16 KB are read; the buffers of two sockets on one machine take some megabytes before anybody reads. */
const readAtMost = 32 * 1024 * 1024

function* oneGigabyte(onSent: (bytes: number) => void): Generator<Buffer> {
  const part = Buffer.alloc(64 * 1024, 'x')
  for (let sent = 0; sent < 2 ** 30; sent += part.length) {
    onSent(sent)
    yield part
  }
}

/** Of the largest one. */
async function residentMegabytes({ dispatchers }: World): Promise<number> {
  const each = dispatchers.map(async (dispatcher) => {
    const { healthUrl } = await dispatcher.present()
    const metrics = await fetch(`${healthUrl}/metrics`).then((answer) => answer.text())
    return Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics)?.[1])
  })
  return Math.max(...(await Promise.all(each))) / 2 ** 20
}
