import { randomBytes } from 'node:crypto'
import { hostname, tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { shippedModelsDir } from '@millrace/models/shipped-models'
import { createAddressRule } from '@millrace/outbound/addresses'
import { storePorts } from '@millrace/outbound/store-ports'
import { z } from 'zod'

/** Reads the environment once; every problem is reported at once. Empty variables count as unset. */
export function readConfig(environment: Environment = process.env): Config {
  const settings = read(schema, environment)
  return {
    name: settings.WORKER_NAME ?? `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`,
    databaseUrl: settings.DATABASE_URL,
    redisUrl: settings.REDIS_URL,
    queuePrefix: settings.QUEUE_PREFIX,
    masterKey: settings.MASTER_KEY,
    previousMasterKey: settings.MASTER_KEY_PREVIOUS,
    publicUrl: settings.PUBLIC_URL.replace(/\/+$/, ''),
    callbacks: settings.CALLBACKS ?? !isHere(settings.PUBLIC_URL),
    storageUrl: settings.STORAGE_URL,
    workDir: resolve(settings.WORK_DIR ?? tmpdir()),
    modelDirs: modelDirs(settings.MODELS_DIR),
    testModels: settings.TEST_MODELS,
    pools: settings.POOLS,
    models: settings.MODELS,
    concurrency: settings.CONCURRENCY,
    leaseSeconds: settings.LEASE_SECONDS,
    drainSeconds: settings.DRAIN_SECONDS,
    cancelGraceSeconds: settings.CANCEL_GRACE_SECONDS,
    outbound: {
      allow: settings.OUTBOUND_ALLOW,
      loopback: settings.OUTBOUND_LOOPBACK,
      closedPorts: storePorts(settings.DATABASE_URL, settings.REDIS_URL),
    },
    maxFileBytes: settings.MAX_FILE_BYTES,
    fileDays: settings.RETENTION_FILES_DAYS,
    balanceWarningCredits: settings.BALANCE_WARNING_CREDITS,
    safety: { url: settings.SAFETY_URL, apiKey: settings.SAFETY_API_KEY, model: settings.SAFETY_MODEL },
    host: settings.HOST,
    metricsPort: settings.METRICS_PORT,
    logLevel: settings.LOG_LEVEL,
    supervised: settings.SUPERVISED,
    hostSettings: given(environment),
  }
}

/** What `npm run admin -- models` needs: no database, and the folder that it was called in. */
export function readModelsConfig(environment: Environment = process.env): ModelsConfig {
  const settings = read(modelsSchema, environment)
  return {
    modelDirs: modelDirs(settings.MODELS_DIR),
    testModels: settings.TEST_MODELS,
    cancelGraceSeconds: settings.CANCEL_GRACE_SECONDS,
    maxFileBytes: settings.MAX_FILE_BYTES,
    hostSettings: given(environment),
    // npm changes to the project's own.
    folder: environment.INIT_CWD ?? process.cwd(),
  }
}

function read<T extends z.ZodType>(shape: T, environment: Environment): z.output<T> {
  const result = shape.safeParse(given(environment))
  if (result.success) return result.data
  const problems = result.error.issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`)
  throw new Error(`The settings cannot be used.\n${problems.join('\n')}`)
}

function given(environment: Environment): Environment {
  return Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
}

function modelDirs(own: string | undefined): string[] {
  return [shippedModelsDir(), ...(own ? [resolve(own)] : [])]
}

/** No other machine can reach what is named so. */
function isHere(url: string): boolean {
  return /^(localhost|.*\.localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname)
}

function isRange(text: string): boolean {
  try {
    createAddressRule({ allow: [text], loopback: false })
    return true
  } catch {
    return false
  }
}

const list = z.string().transform((text) => text.split(',').flatMap((item) => item.trim() || []))
const seconds = z.coerce.number('must be a number of seconds').positive()
const count = z.coerce.number('must be a number').int().positive()

const schema = z.object({
  WORKER_NAME: z.string().optional(),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' }),
  REDIS_URL: z.string().optional(),
  QUEUE_PREFIX: z.string().optional(),
  MASTER_KEY: z.string('is required').min(32, 'must have at least 32 characters'),
  MASTER_KEY_PREVIOUS: z.string().min(32, 'must have at least 32 characters').optional(),
  PUBLIC_URL: z.url({ protocol: /^https?$/, error: 'must be the http or https URL of the api' }),
  CALLBACKS: z.stringbool('must be true or false').optional(),
  // The keys of a bucket are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which its client reads itself.
  STORAGE_URL: z.url({ protocol: /^(file|s3)$/, error: 'must be a file:/// or s3:// URL' }),
  // Read by the process of the model send-email, which is off without the first.
  SMTP_URL: z.url({ protocol: /^smtps?$/, error: 'must be an smtp:// or smtps:// URL' }).optional(),
  MAIL_FROM: z.string().optional(),
  WORK_DIR: z.string().optional(),
  MODELS_DIR: z.string().optional(),
  TEST_MODELS: z.stringbool().default(false),
  POOLS: list.default(['default']),
  MODELS: list.optional(),
  CONCURRENCY: count.default(8),
  LEASE_SECONDS: seconds.default(15),
  DRAIN_SECONDS: seconds.default(30),
  CANCEL_GRACE_SECONDS: seconds.default(10),
  OUTBOUND_ALLOW: list
    .refine((ranges) => ranges.every(isRange), 'must be addresses or CIDR ranges, separated by commas')
    .default([]),
  // PUBLIC_URL tells nothing about this machine: behind a tunnel or a proxy a public service has a local one.
  OUTBOUND_LOOPBACK: z.stringbool().default(false),
  MAX_FILE_BYTES: count.default(256 * 1024 * 1024),
  // Shown what chat models say in the background, as the api shows what they say at once.
  SAFETY_URL: z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional(),
  SAFETY_API_KEY: z.string().optional(),
  SAFETY_MODEL: z.string().optional(),
  BALANCE_WARNING_CREDITS: z.coerce.number().min(0).max(1_000_000_000).default(10),
  RETENTION_FILES_DAYS: count.max(365_000, 'must be at most 365000 days').default(7),
  HOST: z.string().default('127.0.0.1'),
  METRICS_PORT: z.coerce.number('must be a port number').int().min(0).max(65_535).optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  SUPERVISED: z.stringbool().default(false),
})

const modelsSchema = schema.pick({
  MODELS_DIR: true,
  TEST_MODELS: true,
  CANCEL_GRACE_SECONDS: true,
  MAX_FILE_BYTES: true,
})

type Environment = Record<string, string | undefined>

export interface ModelsConfig
  extends Pick<Config, 'modelDirs' | 'testModels' | 'cancelGraceSeconds' | 'maxFileBytes' | 'hostSettings'> {
  folder: string
}

export interface Config {
  /** Who holds a lease; one name per process at any time. */
  name: string
  databaseUrl: string
  redisUrl: string | undefined
  queuePrefix: string | undefined
  masterKey: string
  previousMasterKey: string | undefined
  publicUrl: string
  /** Hosts may report to the api. */
  callbacks: boolean
  storageUrl: string
  /** Exists. What runs work on is kept in a folder of this process in it. */
  workDir: string
  modelDirs: string[]
  testModels: boolean
  /** Only models of these pools are served here, and of those only `models` where it is given. */
  pools: string[]
  models: string[] | undefined
  /** Runs in this process at a time, whatever their models. */
  concurrency: number
  /** A third of it passes between two renewals. */
  leaseSeconds: number
  drainSeconds: number
  /** How long a model may take to stop before its process is killed. */
  cancelGraceSeconds: number
  outbound: { allow: string[]; loopback: boolean; closedPorts: number[] }
  maxFileBytes: number
  /** How long the files of an output are kept. */
  fileDays: number
  /** Below which `balance.low` is sent. */
  balanceWarningCredits: number
  /** A moderation host, where there is one. */
  safety: { url: string | undefined; apiKey: string | undefined; model: string | undefined }
  host: string
  metricsPort: number | undefined
  logLevel: string
  supervised: boolean
  /** What the settings of hosts may name as `${NAME}`. */
  hostSettings: Record<string, string | undefined>
}
