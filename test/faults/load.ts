import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Status } from '@millrace/contract/statuses'
import { type Answered, type History, now } from './history.ts'
import type { Random } from './seeded.ts'
import { wordIn } from './words.ts'

/**
 * Clients of the service as their documentation tells them to behave: a create has a key of its own and is sent again
 * under it, to any api, until it is answered for good; one in eight has none, and is let be once it may have been made.
 * Resolves when every create was answered and says their ids.
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
      const id = await createNth(client, plan, nth)
      if (id) {
        ids.push(id)
        plan.onCreated?.(id, nth)
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return ids
}

/** What stands in no input with a word of its own has a key: without either nobody could tell whose a row is. */
function createNth(client: Client, plan: CreatePlan, nth: number): Promise<string | undefined> {
  const body = plan.body(nth)
  const keyless = !plan.keyed && wordIn(body.input) !== undefined && client.random.below(8) === 0
  return keyless
    ? createWithoutKey(client, { body, another: () => plan.body(nth) }, plan.patienceMs)
    : createSurely(client, body, `key-${randomUUID()}`, plan.patienceMs)
}

/** Sends one create again until it is answered for good. Answers its id; undefined when it was refused for good. */
export async function createSurely(
  client: Client,
  body: CreateBody,
  key: string,
  patienceMs?: number,
): Promise<string | undefined> {
  return untilForGood(client, () => create(client, body, key), patienceMs)
}

/**
 * Without a key a create is sent again only where it is known that nothing was made. Else it is given up, and another
 * one is sent in its place.
 */
function createWithoutKey(
  client: Client,
  { body, another }: { body: CreateBody; another(): CreateBody },
  patienceMs?: number,
): Promise<string | undefined> {
  let next = body
  const send = async () => {
    const answer = await create(client, next, null)
    if (answer.status === 0 || answer.status >= 500) next = another()
    return answer
  }
  return untilForGood(client, send, patienceMs)
}

async function untilForGood(
  client: Client,
  send: () => Promise<Created>,
  patienceMs = 120_000,
): Promise<string | undefined> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const { status, id } = await send()
    if (status !== 0 && status < 500 && status !== 409 && status !== 429) return id
    if (performance.now() > deadline) throw new Error(`No api answered a create for good (last: ${status})`)
    await delay(50 + client.random.below(150))
  }
}

/** One request to create. `status` 0 is no answer. */
export async function create(client: Client, body: CreateBody, key: string | null): Promise<Created> {
  const asked = Math.floor(now())
  const begun = performance.now()
  const url = client.random.pick(client.urls)
  const sent = JSON.stringify(body)
  const outcome = await call(client, `${url}/v1/predictions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key !== null && { 'idempotency-key': key }) },
    body: sent,
  })
  const { id } = (outcome.json ?? {}) as { id?: string }
  const failure = failureIn(outcome)
  const word = wordIn(body.input)
  const tag = body.tags?.team
  client.history.record({
    is: 'create',
    key,
    ...(word && { word }),
    ...(tag && { tag }),
    ...(asksToFail(body) && { mayFail: true }),
    asked,
    body: createHash('sha256').update(sent).digest('hex'),
    status: outcome.status,
    ms: Math.round(performance.now() - begun),
    retryAfter: outcome.retryAfter,
    replayed: outcome.replayed,
    ...(id && { id }),
    ...failure,
  })
  return { status: outcome.status, retryAfter: outcome.retryAfter, ...(id ? { id } : failure) }
}

/** Whether an input asks for a failure, or for more time than its own limit leaves it. */
export function asksToFail({ input, timeouts }: CreateBody): boolean {
  const asks = ['fail', 'crash', 'exit', 'throw', 'hang', 'nonsense'].some(
    (name) => (input[name] ?? false) !== false,
  )
  const limit = (timeouts as { run?: number } | undefined)?.run ?? Number.POSITIVE_INFINITY
  return asks || Number(input.delay_ms ?? 0) >= limit * 1000
}

/** One look at a prediction. */
export async function get(client: Client, id: string): Promise<Status | undefined> {
  const asked = Math.floor(now())
  const answer = await call(client, `${client.random.pick(client.urls)}/v1/predictions/${id}`)
  const seen = seenIn(answer)
  client.history.record({ is: 'get', asked, id, ...seen, ...answered(answer) })
  return seen.shown
}

/** Cancels, once; the answer is on record. */
export async function cancel(client: Client, id: string): Promise<{ status: number; shown?: Status }> {
  const asked = Math.floor(now())
  const begun = performance.now()
  const url = `${client.random.pick(client.urls)}/v1/predictions/${id}/cancel`
  const answer = await call(client, url, { method: 'POST' })
  const ms = Math.round(performance.now() - begun)
  const seen = seenIn(answer)
  client.history.record({ is: 'cancel', asked, id, ms, ...seen, ...answered(answer) })
  return { status: answer.status, ...(seen.shown && { shown: seen.shown }) }
}

/** Deletes, once; the answer is on record. */
export async function remove(client: Client, id: string): Promise<number> {
  const asked = Math.floor(now())
  const url = `${client.random.pick(client.urls)}/v1/predictions/${id}`
  const answer = await call(client, url, { method: 'DELETE' })
  client.history.record({ is: 'delete', asked, id, ...answered(answer) })
  return answer.status
}

/**
 * Walks once through the list by its cursor, all of it or its first `pages`, or those of one team. Answers the ids;
 * undefined when an answer was missing.
 */
export async function walk(client: Client, what: Walk = {}): Promise<string[] | undefined> {
  const { pages = Number.POSITIVE_INFINITY, tag } = what
  const filter = tag === undefined ? '' : `model=paid-echo&tag.team=${tag}`
  const asked = Math.floor(now())
  const ids: string[] = []
  let next: string | null = ''
  let page: ListedPage | undefined
  for (let nth = 0; next !== null && nth < pages; nth++) {
    page = await readPage(client, next === '' ? filter : `${filter}&cursor=${encodeURIComponent(next)}`)
    if (!page) break
    ids.push(...page.ids)
    next = page.next
  }
  // What was read before an answer was missing counts; the missing one is on record by itself.
  if (ids.length > 0 || page)
    client.history.record({ is: 'list', asked, ids, whole: next === null, status: 200, ...(tag && { tag }) })
  return page && ids
}

/** One page of the list, as long as pages can be; undefined when there was no such answer, and that is on record. */
export async function readPage(client: Client, query: string): Promise<ListedPage | undefined> {
  const asked = Math.floor(now())
  const url = `${client.random.pick(client.urls)}/v1/predictions?per_page=50&${query}`
  const answer = await call(client, url)
  if (answer.status !== 200) {
    client.history.record({ is: 'list', asked, ids: [], whole: false, ...answered(answer) })
    return undefined
  }
  const page = answer.json as {
    data: { id: string }[]
    pagination: { next_cursor: string | null; last_page: number }
  }
  return {
    ids: page.data.map(({ id }) => id),
    next: page.pagination.next_cursor,
    lastPage: page.pagination.last_page,
  }
}

/** What an answer shows of a prediction. */
function seenIn({ status, json }: Answer): { shown?: Status; word?: string } {
  if (status < 200 || status >= 300) return {}
  const { status: shown, output } = (json ?? {}) as { status?: Status; output?: unknown }
  const word = wordIn(output)
  return { ...(shown && { shown }), ...(word && { word }) }
}

function answered(answer: Answer): Answered {
  const { status, retryAfter } = answer
  if (status >= 200 && status < 300) return { status }
  return { status, retryAfter, ...failureIn(answer) }
}

/** What is told of an answer that is an error, or of none: the whole text as well, in which no secret may be. */
function failureIn({ status, text, json }: Answer): { error?: string; answer?: string } {
  if (status !== 0 && status < 400) return {}
  const { error } = (json ?? {}) as { error?: { error_id?: string } }
  const beginning = text.slice(0, keptOfErrors)
  return { error: error?.error_id ?? beginning, ...(status !== 0 && { answer: beginning }) }
}

/** Of an error so many characters are kept; the service's own are shorter. */
const keptOfErrors = 4096

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
  /** Every create has a key: for bodies that must not be made twice. */
  keyed?: boolean
}

interface Walk {
  pages?: number
  /** Of this team, which the tag `team` tells. */
  tag?: string
}

export type CreateBody = {
  model: string
  input: Record<string, unknown>
  tags?: { team?: string }
  [field: string]: unknown
}

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
