import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import type { Database } from '@millrace/database/connect'
import type { RunningProcess } from '../harness/processes.ts'
import type { Answered, Entry, History } from './history.ts'
import type { Slot } from './slot.ts'

/**
 * Puts on record where `secrets` were told: in logs, metrics, errors, in Redis and in what the queue and the service
 * itself keep in Postgres.
 */
export async function recordLeaks(places: Places): Promise<void> {
  const { history, secrets, redis, db, processes } = places
  const told = (where: string, names: string[]) => {
    for (const secret of names) history.record({ is: 'leak', where, secret })
  }
  told('an error', secretsIn(errorsIn(history.entries).join('\n'), secrets))
  told('Redis', redis.found())
  told('the queue tables', await secretsInQueueTables(db, secrets))
  const { [inputOf]: _owned, ...ofTheService } = secrets
  for (const [where, statement] of Object.entries(storedTexts)) {
    const { rows } = await db.pool.query<{ text: string }>(statement)
    told(where, secretsIn(rows.map(({ text }) => text).join('\n'), ofTheService))
  }
  for (const one of processes) {
    const { healthUrl } = await one.present()
    const metrics = await fetch(`${healthUrl}/metrics`).then((answer) => answer.text())
    told(`the log of ${one.name}`, secretsIn(one.log(), secrets))
    told(`the metrics of ${one.name}`, secretsIn(metrics, secrets))
  }
}

/** All that an error was answered with, and why there was no answer. */
function errorsIn(entries: Entry[]): string[] {
  return entries.flatMap((entry) => {
    const { error, answer } = entry as Partial<Answered>
    return [error, answer].filter((text) => text !== undefined)
  })
}

/** What its owner may read in the logs and errors of a model that writes it there, and nobody anywhere else. */
export const inputOf = "a prediction's input"

/** What the service keeps in words that models, receivers and its own failures chose, by what to call it. */
const storedTexts = {
  'the errors of predictions': 'select distinct error as text from predictions where error is not null',
  'the logs of runs': `select distinct data as text from prediction_events where kind = 'log'`,
  'the results of deliveries': `select distinct concat_ws(' ', a ->> 'error', a ->> 'response') as text
    from deliveries, jsonb_each(attempts) as made(nth, a)`,
}

/**
 * Listens to all that passes through Redis, and knows which of `secrets` it saw. By hand: ioredis takes what other
 * connections do in the moment it begins to listen for answers to its own commands, and throws.
 */
export async function listenToRedis(url: string, secrets: Secrets): Promise<LeakWatch> {
  const seen = new Set<string>()
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).setEncoding('utf8')
  socket.on('error', () => {})
  const commands = createInterface({ input: socket })
  socket.write('MONITOR\r\n')
  await once(commands, 'line')
  commands.on('line', (line) => {
    for (const name of secretsIn(line, secrets)) seen.add(name)
  })
  return { found: () => [...seen], stop: () => socket.destroy() }
}

/** The names of the `secrets` that stand in a text, as they are or in one of the usual disguises. */
export function secretsIn(text: string, secrets: Secrets): string[] {
  const plain = unquoted(text)
  return Object.entries(secrets).flatMap(([name, secret]) =>
    spellings(secret).some((spelling) => plain.includes(spelling)) ? [name] : [],
  )
}

/** JSON within JSON within a row escapes quotes over and over: both sides are compared without any. */
function unquoted(text: string): string {
  return text.replace(/["\\]/g, '')
}

function spellings(secret: string): string[] {
  const known = spelled.get(secret)
  if (known) return known
  const bytes = Buffer.from(secret)
  // Inside a longer text the last characters of a base64 depend on what follows.
  const base64 = (encoding: 'base64' | 'base64url') => bytes.toString(encoding).replace(/..?=*$/, '')
  const all = [unquoted(secret), encodeURIComponent(secret), bytes.toString('hex')]
  all.push(base64('base64'), base64('base64url'))
  spelled.set(secret, all)
  return all
}

const spelled = new Map<string, string[]>()

async function secretsInQueueTables(db: Database, secrets: Secrets): Promise<string[]> {
  const { rows: tables } = await db.pool.query(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'bullmq'`,
  )
  const found = new Set<string>()
  for (const { name } of tables) {
    const { rows } = await db.pool.query(`select t::text as row from ${name} t`)
    for (const leak of secretsIn(rows.map(({ row }) => row).join('\n'), secrets)) found.add(leak)
  }
  return [...found]
}

/** What nobody may be told, by what to call it. A scenario may add to it. */
export type Secrets = Record<string, string>

export interface LeakWatch {
  found(): string[]
  stop(): void
}

interface Places {
  history: History
  secrets: Secrets
  redis: LeakWatch
  db: Database
  processes: Watched[]
}

type Watched = Pick<Slot, 'name' | 'log'> & { present(): Promise<Pick<RunningProcess, 'healthUrl'>> }
