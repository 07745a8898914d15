import { createMany, readPage, remove, walk } from '../load.ts'
import { repeat } from '../repeat.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'

export const walkWhileWriting: Scenario = {
  name: 'walk-while-writing',
  shortOn: 'postgres',
  fault: 'clients walk the list by cursor, whole and filtered, and by page while others create and delete',
  outcome: 'by cursor every row that existed throughout comes exactly once, by page no page repeats one',
  async run(world, { predictions, long }) {
    const before = world.history.entries.length
    let pages = 0
    const pauseMs = long ? 500 : 10
    const readers = [
      ...[{}, {}, ...teams.map((tag) => ({ tag }))].map((what) =>
        repeat(pauseMs, () => walk(world.client, what)),
      ),
      repeat(pauseMs, async () => {
        pages += await walkByPage(world)
      }),
    ]
    const ids: string[] = []
    const deleting = repeat(long ? 20 : 50, async () => {
      const id = ids.splice(world.random.below(ids.length), 1)[0]
      if (id && (await remove(world.client, id)) !== 200) throw new Error(`${id} could not be deleted`)
    })
    await createMany(world.client, {
      count: predictions,
      perSecond: long ? 100 : 30,
      atOnce: 4,
      body: () => ({ ...ordinary(world), tags: { team: world.random.pick(teams) } }),
      onCreated: (id) => ids.push(id),
    })
    const deleted = await deleting.stop()
    await Promise.all(readers.map((reader) => reader.stop()))
    const walks = world.history.entries
      .slice(before)
      .filter((entry) => entry.is === 'list' && entry.whole).length
    if (walks < 3 || pages < 2) throw new Error(`only ${walks} walks and ${pages} pages were read`)
    await world.untilQuiet()
    await sameBothWays(world)
    return { walks, pages, deleted }
  },
}

const teams = ['red', 'blue']

/** Pages shift while rows come and go, so one may show what the last one showed; but each is in order and repeats nothing. */
async function walkByPage({ client }: World): Promise<number> {
  let read = 0
  for (let page = 1, last = 1; page <= last && page * 50 <= 10_000; page++) {
    const found = await readPage(client, `page=${page}`)
    if (!found) throw new Error(`page ${page} of ${last} was not answered`)
    const unordered = found.ids.find((id, nth) => nth > 0 && id >= (found.ids[nth - 1] ?? ''))
    if (unordered) throw new Error(`page ${page} shows ${unordered} out of order`)
    last = found.lastPage
    read++
  }
  return read
}

/** While nobody writes, the pages hold what the cursor finds. */
async function sameBothWays({ client }: World): Promise<void> {
  const byCursor = await walk(client)
  if (!byCursor) throw new Error('a walk was not answered')
  const byPage: string[] = []
  for (let page = 1; byPage.length < Math.min(byCursor.length, 10_000); page++) {
    const found = await readPage(client, `page=${page}`)
    if (!found || found.ids.length === 0) throw new Error(`page ${page} is missing`)
    byPage.push(...found.ids)
  }
  if (byPage.some((id, nth) => id !== byCursor[nth]))
    throw new Error('the pages hold other rows than the cursor finds')
}
