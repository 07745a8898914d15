import { createKeyRing, type KeyRing } from '@millrace/accounts/api-keys'
import { openRequestLog, type RequestLog } from '@millrace/activity/request-log'
import { connect, type Database } from '@millrace/database/connect'
import { watchHosts } from '@millrace/hosts/host-watch'
import { keepModules } from '@millrace/inference/keep-modules'
import { createModeration } from '@millrace/inference/moderation'
import { createRouter, type Router } from '@millrace/inference/route'
import { passAll, type SafetyFilter } from '@millrace/inference/safety'
import { deriveKeys } from '@millrace/keys/derive'
import { asMicros } from '@millrace/ledger/micro'
import { openTill, type Till } from '@millrace/ledger/till'
import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import type { Links } from '@millrace/lifecycle/present'
import { openRates, type Rates } from '@millrace/limits/open-rates'
import type { ModelDescription } from '@millrace/models/description'
import { type LiveCatalogue, openCatalogue } from '@millrace/models/live-catalogue'
import { shippedModelsDir } from '@millrace/models/shipped-models'
import type { InputValidator } from '@millrace/models/validate'
import { createValidators } from '@millrace/models/validators'
import { createGuard, type Guard } from '@millrace/outbound/guard'
import { storePorts } from '@millrace/outbound/store-ports'
import type { Log } from '@millrace/process/log'
import { openQueue, type Queue } from '@millrace/queue/open-queue'
import { createFileUrls, type FileUrls } from '@millrace/storage/file-urls'
import { type FileStore, openStore } from '@millrace/storage/store'
import { type Acceptance, createAcceptance } from './acceptance.ts'
import { type Callers, keepCallers } from './callers.ts'
import { type Changes, watchChanges } from './changes.ts'
import type { Config } from './config.ts'
import { type KeyUses, keepUses } from './key-uses.ts'
import { keepLines, type Lines } from './lines.ts'
import { type Hosts, keepHosts } from './model-hosts.ts'
import { type OverLimit, refuseOverLimit } from './refuse-over-limit.ts'
import { keepStatus, type StatusWatch } from './service-status.ts'
import { type Waiting, watchWaiting } from './waiting.ts'

/** Opens everything the routes need. Throws when the database, the store or the models cannot be opened. */
export async function openContext(config: Config, log: Log): Promise<Context> {
  const db = connect({
    url: config.DATABASE_URL,
    max: config.DATABASE_POOL,
    name: 'millrace-api',
    patienceMs,
  })
  const queue = openQueue({
    databaseUrl: config.DATABASE_URL,
    redisUrl: config.REDIS_URL,
    prefix: config.QUEUE_PREFIX,
    name: 'api',
    onError: (error) => log.debug({ err: error }, 'the queue complained'),
  })
  const dirs = [shippedModelsDir(), ...(config.MODELS_DIR ? [config.MODELS_DIR] : [])]
  const catalogue = await openCatalogue({
    dirs,
    testModels: config.TEST_MODELS,
    onProblem: (problem) => log.warn(problem, 'a model file is not used'),
  })
  catalogue.listen((change) => log.info(change, 'the models have changed'))
  const [key = Buffer.of(), ...previousKeys] = deriveKeys(
    config.MASTER_KEY,
    config.MASTER_KEY_PREVIOUS,
    'file-urls',
  )
  const fileUrls = createFileUrls({ publicUrl: config.PUBLIC_URL, key, previousKeys })
  const links = linksFor(config, fileUrls, replyUrlSeconds)
  const webhookLinks = linksFor(config, fileUrls, webhookUrlSeconds)
  const balanceWarning = asMicros(config.BALANCE_WARNING_CREDITS)
  const lifecycle = {
    db,
    links: webhookLinks,
    partitions: config.PARTITIONS,
    balanceWarning,
  }
  const changes = watchChanges(db, queue, log)
  const requests = openRequestLog({ db, log, partitions: config.PARTITIONS })
  const till = openTill({ db, log, balanceWarning })
  const modules = keepModules()
  const keyRing = createKeyRing(config.MASTER_KEY, config.MASTER_KEY_PREVIOUS)
  const callers = keepCallers(db, keyRing)
  const keyUses = keepUses(db, log)
  queue.listen('keys', callers.forget)
  const rates = openRates({
    db,
    redisUrl: config.REDIS_URL,
    prefix: config.QUEUE_PREFIX,
    onChange: (away, err) =>
      away
        ? log.warn({ err }, 'the store of rate limits does not answer: this process counts by itself')
        : log.info('the store of rate limits answers again'),
  })
  await rates.opened()
  catalogue.listen(() => modules.keepOnly(catalogue.models.values()))
  const router = createRouter({
    watch: watchHosts(db, log),
    describe: (slug) => catalogue.find(slug),
    openOther: (model) => modules.of(model),
  })
  return {
    config,
    log,
    db,
    queue,
    catalogue,
    validatorOf: createValidators(),
    lifecycle,
    links,
    fileUrls,
    store: openStore(config.STORAGE_URL),
    guard: createGuard({
      allow: config.OUTBOUND_ALLOW,
      loopback: config.OUTBOUND_LOOPBACK,
      closedPorts: storePorts(config.DATABASE_URL, config.REDIS_URL),
    }),
    callbackKeys: deriveKeys(config.MASTER_KEY, config.MASTER_KEY_PREVIOUS, 'callbacks'),
    keyRing,
    callers,
    keyUses,
    acceptance: createAcceptance(lifecycle, queue),
    refuseOverLimit: refuseOverLimit(db),
    changes,
    rates,
    waiting: watchWaiting(db),
    lines: keepLines(db),
    requests,
    till,
    router,
    safety: safetyOf(config),
    hosts: keepHosts(db),
    status: keepStatus(),
    draining: new AbortController(),
    cutting: new AbortController(),
    async close() {
      catalogue.close()
      changes.close()
      callers.close()
      await keyUses.close()
      await Promise.all([queue.close(), rates.close(), requests.close(), router.close(), modules.close()])
      // What ended until now is charged.
      await till.close()
      await db.close()
    },
  }
}

function safetyOf({
  SAFETY_URL: baseUrl,
  SAFETY_API_KEY: apiKey,
  SAFETY_MODEL: model,
}: Config): SafetyFilter {
  return baseUrl === undefined ? passAll : createModeration({ baseUrl, apiKey, model })
}

function linksFor(config: Config, fileUrls: FileUrls, seconds: number): Links {
  const { PUBLIC_URL: publicUrl, RETENTION_FILES_DAYS: fileDays } = config
  return { publicUrl, fileDays, file: ({ id, name }) => fileUrls.sign(id, name, seconds) }
}

/** A statement without an answer for so long is answered with 503: sooner than most clients give up. */
const patienceMs = 10_000

/** How long file URLs live: a day in replies, a week in webhook bodies. */
const replyUrlSeconds = 24 * 3600
const webhookUrlSeconds = 7 * 24 * 3600

/** What every route can reach. */
export interface Context {
  config: Config
  log: Log
  db: Database
  queue: Queue
  /** The models as their files are now. */
  catalogue: LiveCatalogue
  validatorOf: (model: ModelDescription) => InputValidator
  lifecycle: Lifecycle & Required<Pick<Lifecycle, 'balanceWarning'>>
  links: Links
  fileUrls: FileUrls
  store: FileStore
  guard: Guard
  /** Sign the addresses under which hosts report. */
  callbackKeys: readonly Buffer[]
  keyRing: KeyRing
  callers: Callers
  /** When keys were used last. */
  keyUses: KeyUses
  acceptance: Acceptance
  /** Refuses what an account would have to wait with that would rather be refused. */
  refuseOverLimit: OverLimit
  changes: Changes
  rates: Rates
  waiting: Waiting
  lines: Lines
  /** The activity log of inference. */
  requests: RequestLog
  /** Takes the money of inference. */
  till: Till
  /** Finds who answers for a model. */
  router: Router
  /** Judges prompts and answers. */
  safety: SafetyFilter
  hosts: Hosts
  /** How the service is, for everybody. */
  status: StatusWatch
  /** The process stops: held waits and streams of events end, and clients are told to connect elsewhere. */
  draining: AbortController
  /** Its time is nearly over: answers that are still being made end, and say so. */
  cutting: AbortController
  close(): Promise<void>
}
