import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { isTerminal, type Status } from '@millrace/contract/statuses'
import type { History } from './history.ts'
import type { Random } from './seeded.ts'

/**
 * Clients of the service as their documentation tells them to behave: each create has a key of its own and is sent again
 * under it, to any api, until it is answered for good. Resolves when every create was answered and says their ids.
 */
export async function createMany(client: Client, plan: CreatePlan): Promise<string[]> {
  const { count, perSecond, atOnce = 16 } = plan
  const ids: string[] = []
  const begun = performance.now()
  let next = 0
  async function one(): Promise<void> {
    for (;;) {
      const nth = next++
      if (nth >= count) return
      if (perSecond) await delay(Math.max(0, begun + (nth / perSecond) * 1000 - performance.now()))
      const id = await createSurely(client, plan.body(nth), `key-${randomUUID()}`, plan.patienceMs)
      if (id) {
        ids.push(id)
        plan.onCreated?.(id, nth)
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return ids
}

/** Sends one create again until it is answered for good. Answers its id; undefined when it was refused for good. */
export async function createSurely(
  client: Client,
  body: CreateBody,
  key: string,
  patienceMs = 120_000,
): Promise<string | undefined> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const { status, id } = await create(client, body, key)
    if (status !== 0 && status < 500 && status !== 409 && status !== 429) return id
    if (performance.now() > deadline) throw new Error(`No api answered a create for good (last: ${status})`)
    await delay(50 + client.random.below(150))
  }
}

/** One request to create. `status` 0 is no answer. */
export async function create(
  client: Client,
  body: CreateBody,
  key: string,
): Promise<{ status: number; id?: string }> {
  const begun = performance.now()
  const url = client.random.pick(client.urls)
  const outcome = await call(client, `${url}/v1/predictions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  })
  const { id, error } = (outcome.json ?? {}) as { id?: string; error?: { error_id?: string } }
  client.history.record({
    is: 'create',
    key,
    status: outcome.status,
    ms: Math.round(performance.now() - begun),
    retryAfter: outcome.retryAfter,
    ...(id && { id }),
    ...(outcome.status >= 400 || outcome.status === 0 ? { error: error?.error_id ?? outcome.text } : {}),
  })
  return { status: outcome.status, ...(id && { id }) }
}

/** Looks at predictions in turn until each was seen at its end; `stop` ends it early. */
export async function watch(client: Client, ids: () => string[], stop: AbortSignal): Promise<void> {
  const done = new Set<string>()
  while (!stop.aborted) {
    for (const id of ids().filter((one) => !done.has(one))) {
      if (stop.aborted) return
      const shown = await get(client, id)
      if (shown && isTerminal(shown)) done.add(id)
    }
    await delay(20)
  }
}

/** One look at a prediction. */
export async function get(client: Client, id: string): Promise<Status | undefined> {
  const asked = Date.now()
  const { status, json } = await call(client, `${client.random.pick(client.urls)}/v1/predictions/${id}`)
  const shown = (json as { status?: Status } | undefined)?.status
  client.history.record({ is: 'get', asked, id, status, ...(status === 200 && shown && { shown }) })
  return status === 200 ? shown : undefined
}

/** Cancels, once; the answer is on record. */
export async function cancel(client: Client, id: string): Promise<{ status: number; shown?: Status }> {
  const begun = performance.now()
  const url = `${client.random.pick(client.urls)}/v1/predictions/${id}/cancel`
  const { status, json } = await call(client, url, { method: 'POST' })
  const shown = (json as { status?: Status } | undefined)?.status
  const ms = Math.round(performance.now() - begun)
  client.history.record({ is: 'cancel', id, status, ms, ...(status < 300 && shown && { shown }) })
  return { status, ...(status < 300 && shown && { shown }) }
}

/** Walks once through the whole list by its cursor. A walk that an answer was missing from is not on record. */
export async function walk(client: Client): Promise<void> {
  const asked = Date.now()
  const ids: string[] = []
  let cursor: string | null = null
  do {
    const query: string = cursor ? `?limit=100&cursor=${encodeURIComponent(cursor)}` : '?limit=100'
    const { status, json } = await call(client, `${client.random.pick(client.urls)}/v1/predictions${query}`)
    if (status !== 200) return
    const page = json as { data: { id: string }[]; pagination: { next_cursor: string | null } }
    ids.push(...page.data.map(({ id }) => id))
    cursor = page.pagination.next_cursor
  } while (cursor)
  client.history.record({ is: 'list', asked, ids })
}

async function call(client: Client, url: string, init: RequestInit = {}): Promise<Answer> {
  try {
    const response = await fetch(url, {
      ...init,
      headers: { ...init.headers, authorization: `Bearer ${client.apiKey}` },
      signal: AbortSignal.timeout(client.timeoutMs ?? 15_000),
    })
    const text = await response.text()
    const json = response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : undefined
    return { status: response.status, text, json, retryAfter: response.headers.has('retry-after') }
  } catch (error) {
    return {
      status: 0,
      text: String(error instanceof Error ? (error.cause ?? error) : error),
      retryAfter: false,
    }
  }
}

/** Who calls: to which apis, with which key, and where it is put on record. */
export interface Client {
  urls: string[]
  apiKey: string
  history: History
  random: Random
  /** How long a client waits for an answer; 15 s. */
  timeoutMs?: number
}

export interface CreatePlan {
  count: number
  /** As fast as `atOnce` allows where it is left out. */
  perSecond?: number
  atOnce?: number
  body(nth: number): CreateBody
  onCreated?(id: string, nth: number): void
  patienceMs?: number
}

export type CreateBody = { model: string; input: Record<string, unknown>; [field: string]: unknown }

interface Answer {
  status: number
  text: string
  json?: unknown
  retryAfter: boolean
}
