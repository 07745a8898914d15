import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ensureFirstAccount } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import { readSecrets } from '@millrace/accounts/signing-secrets'
import { connect, type Database } from '@millrace/database/connect'
import { migrate } from '@millrace/database/migrate'
import { newApiKey } from '@millrace/keys/api-key'
import { freePort } from '@millrace/standalone/ports'
import type { App, Environment } from '../harness/processes.ts'
import type { Receiver } from '../harness/receiver.ts'
import { until } from '../harness/wait.ts'
import { openEndpoint } from './endpoint.ts'
import { type Entry, type History, openHistory } from './history.ts'
import { judge } from './judge.ts'
import { inputOf, listenToRedis, recordLeaks, type Secrets } from './leaks.ts'
import { startLeash } from './leash.ts'
import type { Client } from './load.ts'
import { type Watching, watchOwners } from './owners.ts'
import { startReader } from './reader.ts'
import { startRecording } from './recording.ts'
import { isQuiet, recordRows } from './rows.ts'
import { type Random, seeded } from './seeded.ts'
import { openSlot, type Slot } from './slot.ts'
import { type FaultyPostgres, type FaultyRedis, startPostgres, startRedis } from './stores.ts'

/**
 * The whole service in processes of its own, on stores of its own, each process behind proxies, with a receiver for its
 * webhooks and a history of all that happens. `close` ends and removes everything but the history.
 */
export async function startWorld({ queue, seed, shape = {}, folder }: WorldOptions): Promise<World> {
  await mkdir(folder, { recursive: true })
  const own = await mkdtemp(join(tmpdir(), 'millrace-faults-'))
  const leash = startLeash(own)
  const history = openHistory(join(folder, 'history.ndjson'))
  const random = seeded(seed)
  const [postgres, redis] = await Promise.all([
    startPostgres(own, shape.diskMegabytes),
    startRedis(own, leash),
  ])
  const { db, account, secrets } = await prepareDatabase(postgres)
  const watch = await listenToRedis(redis.url, secrets)
  const receiver = await startRecording(history, account.signingSecret)
  const receivers = [receiver]
  const ports = await Promise.all(Array.from({ length: shape.apis ?? 2 }, freePort))
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const environment: Environment = {
    MASTER_KEY: account.masterKey,
    PUBLIC_URL: urls[0] ?? 'http://127.0.0.1:3000',
    STORAGE_URL: pathToFileURL(join(own, 'files')).href,
    OUTBOUND_LOOPBACK: 'true',
    TEST_MODELS: 'true',
    MODELS_DIR: fileURLToPath(new URL('models', import.meta.url)),
    LEASE_SECONDS: '2',
    SWEEP_SECONDS: '0.3',
    CANCEL_GRACE_SECONDS: '2',
    DRAIN_SECONDS: '3',
    WEBHOOK_TIMEOUT_SECONDS: '2',
    DELIVERY_SLOTS: `${4 * deliveriesAtOnce}`,
    CONCURRENCY: `${slotsPerWorker}`,
    ...(queue === 'redis' && { QUEUE_PREFIX: 'faults' }),
    ...shape.env,
  }
  const open = (app: App, name: string, more: Environment) =>
    openSlot({
      app,
      name,
      environment: { ...environment, ...more },
      postgresUrl: shape.patient ? postgres.url : `${postgres.url}?query_timeout=${patienceMs}`,
      redisUrl: queue === 'redis' ? redis.url : undefined,
      history,
      leash,
    })
  const named = (app: App, count: number) => Array.from({ length: count }, (_, n) => `${app}-${n + 1}`)
  const slots = await Promise.all([
    ...ports.map((port, n) => open('api', `api-${n + 1}`, { PORT: `${port}` })),
    ...named('worker', shape.workers ?? 2).map((name) => open('worker', name, { WORKER_NAME: name })),
    ...named('dispatcher', shape.dispatchers ?? 2).map((name) => open('dispatcher', name, {})),
  ])
  const client: Client = { urls, apiKey: account.apiKey, history, random }
  const reader = startReader({ ...client, random: seeded(seed + 1) })

  const world: World = {
    queue,
    seed,
    random,
    history,
    db,
    postgres,
    redis,
    receiver,
    secrets,
    client,
    leaseSeconds: Number(environment.LEASE_SECONDS),
    drainSeconds: Number(environment.DRAIN_SECONDS),
    apis: slots.filter(({ app }) => app === 'api'),
    workers: slots.filter(({ app }) => app === 'worker'),
    dispatchers: slots.filter(({ app }) => app === 'dispatcher'),
    slots,
    fault: (what) => history.record({ is: 'fault', what }),

    async receive(answer, secret = account.signingSecret) {
      const one = await startRecording(history, secret, answer)
      receivers.push(one)
      return one
    },

    watchOwners: () => watchOwners({ db, history, slots, within: ownerlessMs(environment), slotsPerWorker }),

    async untilQuiet(within = 60_000, owners = world.watchOwners()) {
      const begun = performance.now()
      await until(() => isQuiet(db), {
        within,
        what: 'every prediction to end and every webhook to be sent',
      }).finally(owners.stop)
      const ms = Math.round(performance.now() - begun)
      history.record({ is: 'quiet', ms })
      return ms
    },

    async judge() {
      const since = history.entries.length
      await recordRows(db, history)
      await recordLeaks({ history, secrets, redis: watch, db, processes: slots })
      return judge(latestRows(history.entries, since))
    },

    async close() {
      await Promise.all([reader.stop(), ...slots.map((slot) => slot.close())])
      await Promise.all(slots.map((slot) => writeFile(join(folder, `${slot.name}.log`), slot.log())))
      watch.stop()
      await Promise.all(receivers.map((one) => one.close()))
      await db.close()
      await Promise.all([postgres.stop(), redis.stop()])
      await history.close()
      await leash.end()
    },
  }
  // For all that happens here, and to the end.
  const { id, events } = await openEndpoint(world, { events: accountEvents })
  history.record({ is: 'endpoint', id, events })
  return world
}

/** How long a run may be nobody's, in milliseconds: a lease and two sweeps, and what a busy machine takes. */
function ownerlessMs({ LEASE_SECONDS, SWEEP_SECONDS }: Environment): number {
  return (Number(LEASE_SECONDS) + 2 * Number(SWEEP_SECONDS)) * 1000 + 5_000
}

async function prepareDatabase(postgres: FaultyPostgres): Promise<Prepared> {
  await migrate(postgres.url)
  const db = connect({ url: postgres.url, max: 3, name: 'millrace-faults' })
  const masterKey = randomBytes(32).toString('base64url')
  const ring = createKeyRing(masterKey)
  const keys = { apiKey: newApiKey(), adminKey: newApiKey() }
  await ensureFirstAccount(db, ring, keys)
  const { account_id: accountId } = await db.kysely
    .selectFrom('api_keys')
    .select('account_id')
    .where('admin', '=', false)
    .executeTakeFirstOrThrow()
  const { secrets: signing } = await readSecrets(db, ring, { accountId, endpointId: null })
  const signingSecret = signing[0] ?? ''
  const account = { ...keys, accountId, masterKey, signingSecret }
  const secrets: Secrets = {
    'the api key': keys.apiKey,
    'the admin key': keys.adminKey,
    'the master key': masterKey,
    'the signing secret': signingSecret,
    "the database's password": new URL(postgres.url).password,
    [inputOf]: privateWords,
  }
  return { db, account, secrets }
}

/** A world may be judged several times; of the rows only what was looked at since the last of these begins counts. */
function latestRows(entries: Entry[], since: number): Entry[] {
  const looked: Entry['is'][] = [
    'prediction',
    'status-event',
    'other-events',
    'delivery',
    'books',
    'leftover',
  ]
  return entries.filter((entry, nth) => nth >= since || !looked.includes(entry.is))
}

/** After so long without an answer from the database its connection counts as dead; longer in production. */
export const patienceMs = 4_000

/** How many runs a worker of the usual shape takes at a time. */
export const slotsPerWorker = 8

/** How many webhooks a dispatcher sends at a time: an account gets a quarter of its slots, and there is one account. */
export const deliveriesAtOnce = 64

/** Stands in every input that the scenarios send; nobody but its owner may ever read it. */
export const privateWords = 'for the eyes of my model only'

/** What most scenarios send: a short run with a word of its own, with webhooks; now and then one that writes meanwhile. */
export function ordinary(world: World, input: Record<string, unknown> = {}) {
  const events = world.random.pick(subscriptions)
  const writes = world.random.below(8) === 0 && { chunks: 3, log: 'on its way' }
  return {
    model: 'paid-echo',
    input: { text: privateWords, word: randomUUID(), ...writes, ...input },
    ...(events !== null && { webhook: { url: world.receiver.url, events } }),
  }
}

const ends = ['succeeded', 'failed', 'cancelled']

/** As a client may spell them, or none; few want to know of every step. */
const subscriptions = [
  null,
  null,
  ends,
  ends,
  ends,
  ['completed', 'failed', 'canceled'],
  ['started', ...ends],
  ['created', 'starting', 'started', ...ends].map((name) => `prediction.${name}`),
]

/** What the account's own endpoint is told. */
const accountEvents = ['prediction.created', 'prediction.failed', 'prediction.cancelled']

interface WorldOptions {
  queue: 'redis' | 'postgres'
  seed: number
  shape?: Shape
  /** Where the history is kept. */
  folder: string
}

/** How many of each, and what the processes are told beyond the usual. */
export interface Shape {
  apis?: number
  workers?: number
  dispatchers?: number
  env?: Environment
  /** The processes wait as long for an answer of the database as in production. */
  patient?: boolean
  /** Puts the database on a disk of its own, which can be full. */
  diskMegabytes?: number
}

export interface World {
  queue: 'redis' | 'postgres'
  seed: number
  random: Random
  history: History
  /** Past every proxy. */
  db: Database
  postgres: FaultyPostgres
  redis: FaultyRedis
  /** Takes every webhook; `receive` opens others, which do as they are told. Both put what comes on record. */
  receiver: Receiver
  receive(answer: Parameters<Receiver['answerWith']>[0], secret?: string): Promise<Receiver>
  /** What nobody may be told. A scenario may add to it. */
  secrets: Secrets
  client: Client
  leaseSeconds: number
  /** How long a worker that is told to stop lets runs finish. */
  drainSeconds: number
  apis: Slot[]
  workers: Slot[]
  dispatchers: Slot[]
  slots: Slot[]
  /** Puts a fault on record. */
  fault(what: string): void
  /** From now on what could be run and is not for long goes on record: to be called when the fault is over. */
  watchOwners(): Watching
  /** Waits until nothing is left to run or to send, and ends the watch. Answers how long that took, in milliseconds. */
  untilQuiet(within?: number, owners?: Watching): Promise<number>
  /** Puts the rows and what leaked on record, and answers every breach of a promise so far. */
  judge(): Promise<string[]>
  close(): Promise<void>
}

interface Prepared {
  db: Database
  account: { apiKey: string; adminKey: string; accountId: string; masterKey: string; signingSecret: string }
  secrets: Secrets
}
