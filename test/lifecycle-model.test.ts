import { isTerminal, type Status } from '@millrace/contract/statuses'
import type { Database } from '@millrace/database/connect'
import { accept } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import { requestCancel } from '@millrace/lifecycle/cancel'
import { claim, type Fence } from '@millrace/lifecycle/claim'
import { endOverdue } from '@millrace/lifecycle/overdue'
import { releaseExpired, releaseWorker } from '@millrace/lifecycle/release'
import { hide } from '@millrace/lifecycle/remove'
import { renew } from '@millrace/lifecycle/renew'
import { settle } from '@millrace/lifecycle/settle'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type draft, endings, lifecycleOn, draft as newDraft } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'

/** What may happen to a prediction, in any order: by its user, its worker, a worker that lost it, and the sweeper. */
const happenings = {
  create: ({ lifecycle, made }) => accept(lifecycle, [made]),
  claim: (story) => take(story, { warm: false }),
  start: (story) => take(story, { warm: true }),
  begin: (story) => withFence(story, 'newest', (fence) => begin(story.lifecycle, [fence])),
  beginLate: (story) => withFence(story, 'oldest', (fence) => begin(story.lifecycle, [fence])),
  succeed: (story) => withFence(story, 'newest', (fence) => end(story, fence, 'succeeded')),
  succeedLate: (story) => withFence(story, 'oldest', (fence) => end(story, fence, 'succeeded')),
  fail: (story) => withFence(story, 'newest', (fence) => end(story, fence, 'failed')),
  stop: (story) => withFence(story, 'newest', (fence) => end(story, fence, 'cancelled')),
  cancel: ({ lifecycle, made }) => requestCancel(lifecycle, made.id),
  delete: ({ db, made }) => hide(db, made.accountId, made.id),
  workerDies: ({ db }) => releaseWorker(db, 'w'),
  workerRenews: (story) =>
    withFence(story, 'newest', (fence) =>
      renew(story.db, { fences: [fence], worker: 'w', leaseSeconds: 60 }),
    ),
  sweep: async ({ db, lifecycle }) => {
    await releaseExpired(db, 60)
    await endOverdue(lifecycle, 0)
  },
} satisfies Record<string, (story: Story) => Promise<unknown>>

test('whatever happens in whatever order, a prediction ends once and tells it once', async () => {
  const database = await freshDatabase()
  const { db } = database
  const names = Object.keys(happenings) as (keyof typeof happenings)[]
  const steps = fc.array(fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }), {
    maxLength: 14,
  })

  await fc.assert(
    fc.asyncProperty(steps, async (rounds) => {
      const story = newStory(db)
      await happenings.create(story)
      const seen: Status[] = ['pending']
      for (const round of rounds) {
        // What stands in one round happens at once.
        await Promise.all(round.map((name) => happenings[name](story)))
        seen.push((await rowOf(story)).status)
      }
      await drainToEnd(story)

      const { status, attempt, started_at } = await rowOf(story)
      const ends = [...seen, status].filter(isTerminal)
      expect(new Set(ends).size).toBe(1)
      expect(ends.length - 1).toBe(seen.filter(isTerminal).length)
      expect(await statusEvents(story)).toEqual(statusEventsFor(await statusEvents(story)))
      expect(await deliveredEvents(story)).toEqual([
        ...(attempt > 0 ? ['prediction.starting'] : []),
        ...(started_at ? ['prediction.started'] : []),
        `prediction.${status}`,
      ])
      expect(attempt).toBe(story.fences.at(-1)?.attempt ?? 0)
    }),
    { numRuns: 150 },
  )
  await database.drop()
}, 120_000)

function newStory(db: Database): Story {
  const made = newDraft({
    webhook: {
      url: 'http://receiver.test/',
      events: ['starting', 'started', 'succeeded', 'failed', 'cancelled'].map((name) => `prediction.${name}`),
    },
  })
  return { db, lifecycle: lifecycleOn(db), made, fences: [] }
}

async function take(story: Story, { warm }: { warm: boolean }): Promise<void> {
  const { model } = story.made
  const request = { model, limit: 1, worker: 'w', leaseSeconds: 60, warm }
  const [held] = await claim(story.lifecycle, request)
  if (held) story.fences.push({ id: held.id, attempt: held.attempt })
}

async function withFence(
  story: Story,
  which: 'newest' | 'oldest',
  act: (fence: Fence) => Promise<unknown>,
): Promise<void> {
  const fence = which === 'newest' ? story.fences.at(-1) : story.fences[0]
  if (fence) await act(fence)
}

async function end(story: Story, fence: Fence, status: Status): Promise<void> {
  const ending = endings(fence)[status]
  if (ending) await settle(story.lifecycle, [ending])
}

/** Runs it to its end as a healthy worker and the sweeper would. */
async function drainToEnd(story: Story): Promise<void> {
  for (let turn = 0; turn < 10 && !isTerminal((await rowOf(story)).status); turn++) {
    await happenings.workerDies(story)
    await happenings.sweep(story)
    await happenings.claim(story)
    await happenings.begin(story)
    await happenings.succeed(story)
  }
}

async function rowOf({ db, made }: Story) {
  return db.kysely
    .selectFrom('predictions')
    .select(['status', 'attempt', 'started_at'])
    .where('id', '=', made.id)
    .executeTakeFirstOrThrow()
}

async function deliveredEvents({ db, made }: Story): Promise<string[]> {
  const rows = await db.kysely
    .selectFrom('deliveries')
    .select('event')
    .where('prediction_id', '=', made.id)
    .orderBy('seq')
    .execute()
  return rows.map(({ event }) => event)
}

async function statusEvents({ db, made }: Story): Promise<Status[]> {
  const rows = await db.kysely
    .selectFrom('prediction_events')
    .select('data')
    .where('prediction_id', '=', made.id)
    .where('kind', '=', 'status')
    .orderBy('seq')
    .execute()
  return rows.map(({ data }) => (JSON.parse(data) as { status: Status }).status)
}

/** The same events in the order of the lifecycle: statuses never go backwards, and one ends it. */
function statusEventsFor(events: Status[]): Status[] {
  const order: Status[] = ['pending', 'starting', 'processing', 'succeeded', 'failed', 'cancelled']
  const sorted = events.toSorted((a, b) => order.indexOf(a) - order.indexOf(b))
  const ends = sorted.filter(isTerminal)
  return [...sorted.filter((status) => !isTerminal(status)), ...ends.slice(0, 1)]
}

interface Story {
  db: Database
  lifecycle: ReturnType<typeof lifecycleOn>
  made: ReturnType<typeof draft>
  fences: Fence[]
}
