import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Status } from '@millrace/contract/statuses'
import { type History, now } from './history.ts'
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
export async function create(client: Client, body: CreateBody, key: string): Promise<Created> {
  const asked = Math.floor(now())
  const begun = performance.now()
  const url = client.random.pick(client.urls)
  const sent = JSON.stringify(body)
  const outcome = await call(client, `${url}/v1/predictions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: sent,
  })
  const { id, error } = (outcome.json ?? {}) as { id?: string; error?: { error_id?: string } }
  const told = error?.error_id ?? outcome.text
  client.history.record({
    is: 'create',
    key,
    asked,
    body: createHash('sha256').update(sent).digest('hex'),
    status: outcome.status,
    ms: Math.round(performance.now() - begun),
    retryAfter: outcome.retryAfter,
    replayed: outcome.replayed,
    ...(id && { id }),
    ...(outcome.status >= 400 || outcome.status === 0 ? { error: told } : {}),
  })
  return { status: outcome.status, retryAfter: outcome.retryAfter, ...(id ? { id } : { error: told }) }
}

/** One look at a prediction. */
export async function get(client: Client, id: string): Promise<Status | undefined> {
  const asked = Math.floor(now())
  const { status, json } = await call(client, `${client.random.pick(client.urls)}/v1/predictions/${id}`)
  const shown = (json as { status?: Status } | undefined)?.status
  client.history.record({ is: 'get', asked, id, status, ...(status === 200 && shown && { shown }) })
  return status === 200 ? shown : undefined
}

/** Cancels, once; the answer is on record. */
export async function cancel(client: Client, id: string): Promise<{ status: number; shown?: Status }> {
  const asked = Math.floor(now())
  const begun = performance.now()
  const url = `${client.random.pick(client.urls)}/v1/predictions/${id}/cancel`
  const { status, json } = await call(client, url, { method: 'POST' })
  const shown = (json as { status?: Status } | undefined)?.status
  const ms = Math.round(performance.now() - begun)
  client.history.record({ is: 'cancel', asked, id, status, ms, ...(status < 300 && shown && { shown }) })
  return { status, ...(status < 300 && shown && { shown }) }
}

/** Deletes, once; the answer is on record. */
export async function remove(client: Client, id: string): Promise<number> {
  const asked = Math.floor(now())
  const url = `${client.random.pick(client.urls)}/v1/predictions/${id}`
  const { status } = await call(client, url, { method: 'DELETE' })
  client.history.record({ is: 'delete', asked, id, status })
  return status
}

/**
 * Walks once through the list by its cursor, all of it or its first `pages`. Answers the ids; undefined when an answer
 * was missing, and then the walk is not on record.
 */
export async function walk(client: Client, pages = Number.POSITIVE_INFINITY): Promise<string[] | undefined> {
  const asked = Math.floor(now())
  const ids: string[] = []
  let next: string | null = ''
  for (let nth = 0; next !== null && nth < pages; nth++) {
    const page = await readPage(client, next === '' ? '' : `cursor=${encodeURIComponent(next)}`)
    if (!page) return undefined
    ids.push(...page.ids)
    next = page.next
  }
  client.history.record({ is: 'list', asked, ids, whole: next === null })
  return ids
}

/** One page of the list, as long as pages can be; undefined when there was no such answer. */
export async function readPage(client: Client, query: string): Promise<ListedPage | undefined> {
  const url = `${client.random.pick(client.urls)}/v1/predictions?per_page=50&${query}`
  const { status, json } = await call(client, url)
  if (status !== 200) return undefined
  const page = json as {
    data: { id: string }[]
    pagination: { next_cursor: string | null; last_page: number }
  }
  return {
    ids: page.data.map(({ id }) => id),
    next: page.pagination.next_cursor,
    lastPage: page.pagination.last_page,
  }
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
    const { headers, status } = response
    const replayed = headers.get('idempotency-replayed') === 'true'
    return { status, text, json, retryAfter: headers.has('retry-after'), replayed }
  } catch (error) {
    return {
      status: 0,
      text: String(error instanceof Error ? (error.cause ?? error) : error),
      retryAfter: false,
      replayed: false,
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

/** How one create was answered; `error` is the error id, or why there was no answer. */
export interface Created {
  status: number
  id?: string
  error?: string
  retryAfter: boolean
}

export interface ListedPage {
  ids: string[]
  /** The cursor of the page after it. */
  next: string | null
  lastPage: number
}

interface Answer {
  status: number
  text: string
  json?: unknown
  retryAfter: boolean
  replayed: boolean
}
