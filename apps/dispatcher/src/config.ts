import { hostname } from 'node:os'
import { storePorts } from '@millrace/outbound/store-ports'
import { z } from 'zod'

/** Reads the environment once. Throws one error that names every wrong setting. Empty variables count as unset. */
export function readConfig(environment: Environment = process.env): Config {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const read = schema.safeParse(given)
  if (!read.success) {
    const problems = read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new Error(`The dispatcher's settings cannot be used:\n${problems.join('\n')}`)
  }
  const settings = read.data
  return {
    name: `dispatcher@${hostname()}`,
    databaseUrl: settings.DATABASE_URL,
    redisUrl: settings.REDIS_URL,
    queuePrefix: settings.QUEUE_PREFIX,
    masterKey: settings.MASTER_KEY,
    previousMasterKey: settings.MASTER_KEY_PREVIOUS,
    publicUrl: settings.PUBLIC_URL.replace(/\/+$/, ''),
    storageUrl: settings.STORAGE_URL,
    outbound: {
      allow: settings.OUTBOUND_ALLOW,
      loopback: settings.OUTBOUND_LOOPBACK,
      closedPorts: storePorts(settings.DATABASE_URL, settings.REDIS_URL),
    },
    timeoutSeconds: settings.WEBHOOK_TIMEOUT_SECONDS,
    slots: settings.DELIVERY_SLOTS,
    sweepSeconds: settings.SWEEP_SECONDS,
    leaseSeconds: settings.LEASE_SECONDS,
    cancelGraceSeconds: settings.CANCEL_GRACE_SECONDS,
    partitions: settings.PARTITIONS,
    balanceWarningCredits: settings.BALANCE_WARNING_CREDITS,
    retention: {
      fileDays: settings.RETENTION_FILES_DAYS,
      valueDays: settings.RETENTION_VALUES_DAYS,
      rowDays: settings.RETENTION_ROWS_DAYS,
    },
    host: settings.HOST,
    metricsPort: settings.METRICS_PORT,
    logLevel: settings.LOG_LEVEL,
    supervised: settings.SUPERVISED,
  }
}

const isRedisUrl = (text: string) => /^rediss?:$/.test(URL.parse(text)?.protocol ?? '')
const seconds = (fallback: number) =>
  z.coerce.number().positive('must be a number of seconds').default(fallback)
const days = (fallback: number) =>
  z.coerce
    .number()
    .int()
    .positive('must be a whole number of days')
    .max(365_000, 'must be at most 365000 days')
    .default(fallback)
const flag = z
  .enum(['true', 'false', '1', '0'], 'must be true or false')
  .transform((text) => text === 'true' || text === '1')
const list = z.string().transform((text) => text.split(',').flatMap((item) => item.trim() || []))

const schema = z
  .object({
    DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'is required: a postgres:// URL' }),
    REDIS_URL: z
      .string()
      .refine(
        (text) => text.split(',').every(isRedisUrl),
        'must be a redis:// or rediss:// URL, or several with commas',
      )
      .optional(),
    QUEUE_PREFIX: z.string().optional(),
    MASTER_KEY: z
      .string('is required: 32 characters or more, the same for every process on that database')
      .min(32, 'must have at least 32 characters'),
    MASTER_KEY_PREVIOUS: z.string().min(32, 'must have at least 32 characters').optional(),
    PUBLIC_URL: z.url({ protocol: /^https?$/, error: 'is required: the http or https URL of the api' }),
    // The keys of a bucket are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which its client reads itself.
    STORAGE_URL: z.url({ protocol: /^(file|s3)$/, error: 'is required: a file:// or s3:// URL' }),
    OUTBOUND_ALLOW: list.default([]),
    // PUBLIC_URL tells nothing about this machine: behind a tunnel or a proxy a public service has a local one.
    OUTBOUND_LOOPBACK: flag.default(false),
    WEBHOOK_TIMEOUT_SECONDS: seconds(10),
    DELIVERY_SLOTS: z.coerce.number().int().min(4, 'must be at least 4').max(1024).default(64),
    SWEEP_SECONDS: seconds(1),
    LEASE_SECONDS: seconds(15),
    CANCEL_GRACE_SECONDS: seconds(10),
    PARTITIONS: z.enum(['month', 'day'], 'must be month or day').default('month'),
    BALANCE_WARNING_CREDITS: z.coerce.number().min(0).max(1_000_000_000).default(10),
    RETENTION_FILES_DAYS: days(7),
    RETENTION_VALUES_DAYS: days(30),
    RETENTION_ROWS_DAYS: days(90),
    HOST: z.string().default('127.0.0.1'),
    METRICS_PORT: z.coerce.number().int().min(0).max(65_535, 'must be a port number').optional(),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    SUPERVISED: flag.default(false),
  })
  .refine((settings) => settings.RETENTION_VALUES_DAYS <= settings.RETENTION_ROWS_DAYS, {
    path: ['RETENTION_VALUES_DAYS'],
    message: 'must not be longer than RETENTION_ROWS_DAYS: a value goes with its row at the latest',
  })

export type Config = {
  name: string
  databaseUrl: string
  redisUrl: string | undefined
  queuePrefix: string | undefined
  masterKey: string
  previousMasterKey: string | undefined
  publicUrl: string
  storageUrl: string
  outbound: { allow: string[]; loopback: boolean; closedPorts: number[] }
  timeoutSeconds: number
  slots: number
  sweepSeconds: number
  leaseSeconds: number
  cancelGraceSeconds: number
  partitions: 'month' | 'day'
  /** Below which `balance.low` is sent. */
  balanceWarningCredits: number
  retention: Retention
  host: string
  metricsPort: number | undefined
  logLevel: string
  supervised: boolean
}

/** How long a prediction's files, its values and logs, and its row are kept. Days. */
export type Retention = { fileDays: number; valueDays: number; rowDays: number }

type Environment = Record<string, string | undefined>
