import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { wellFormed } from '@millrace/keys/api-key'
import { z } from 'zod'
import { StartProblem } from './start-problem.ts'

/** Reads the environment once; every problem is reported at once. Empty variables count as unset. */
export function readConfig(environment: Environment = process.env): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
  const read = schema.safeParse(given)
  if (!read.success) {
    const problems = read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new StartProblem('The settings cannot be used.', problems.join('\n'))
  }
  const { HOST, PORT, DATA_DIR, ...settings } = read.data
  const dataDir = resolve(DATA_DIR)
  return {
    host: HOST,
    port: PORT,
    publicUrl: settings.PUBLIC_URL?.replace(/\/+$/, '') ?? `http://${reachable(HOST)}:${PORT}`,
    dataDir,
    databaseUrl: settings.DATABASE_URL,
    redisUrl: settings.REDIS_URL,
    masterKey: settings.MASTER_KEY,
    previousMasterKey: settings.MASTER_KEY_PREVIOUS,
    adminApiKey: settings.ADMIN_API_KEY,
    storageUrl: settings.STORAGE_URL ?? pathToFileURL(resolve(dataDir, 'files')).href,
    outboundLoopback: settings.OUTBOUND_LOOPBACK ?? isLoopback(HOST),
    drainSeconds: settings.DRAIN_SECONDS,
    cancelGraceSeconds: settings.CANCEL_GRACE_SECONDS,
    metricsPort: settings.METRICS_PORT,
    logLevel: settings.LOG_LEVEL,
    workerName: `${hostname()}-${randomBytes(4).toString('hex')}`,
    inherited: given,
  }
}

/** The address at which this machine reaches a server that listens on `host`. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}

const isRedisUrl = (text: string) => /^rediss?:$/.test(URL.parse(text)?.protocol ?? '')

const port = z.coerce
  .number('must be a port number')
  .int()
  .min(1)
  .max(65_535, 'must be a port number, 1 to 65535')

const seconds = z.coerce.number('must be a number of seconds').positive()

const schema = z
  .object({
    HOST: z.string().default('127.0.0.1'),
    PORT: port.default(3000),
    PUBLIC_URL: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional(),
    DATA_DIR: z.string().default('.millrace'),
    DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' }).optional(),
    REDIS_URL: z
      .string()
      .refine(
        (text) => text.split(',').every(isRedisUrl),
        'must be a redis:// or rediss:// URL (a cluster: several, with commas)',
      )
      .optional(),
    MASTER_KEY: z.string().min(32, 'must have at least 32 characters').optional(),
    MASTER_KEY_PREVIOUS: z.string().min(32, 'must have at least 32 characters').optional(),
    ADMIN_API_KEY: z
      .string()
      .refine(wellFormed, 'is not a Millrace key (sk-mr-…, as made by this program)')
      .optional(),
    STORAGE_URL: z.url({ protocol: /^(file|s3)$/, error: 'must be a file:// or s3:// URL' }).optional(),
    OUTBOUND_LOOPBACK: z.stringbool('must be true or false').optional(),
    DRAIN_SECONDS: seconds.default(30),
    CANCEL_GRACE_SECONDS: seconds.default(10),
    METRICS_PORT: port.optional(),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  })
  .refine(({ DATABASE_URL, MASTER_KEY }) => DATABASE_URL === undefined || MASTER_KEY !== undefined, {
    path: ['MASTER_KEY'],
    message:
      'is required with DATABASE_URL: 32 characters or more, the same for every process on that database',
  })

type Environment = Record<string, string | undefined>

export interface Config {
  host: string
  port: number
  publicUrl: string
  dataDir: string
  databaseUrl: string | undefined
  redisUrl: string | undefined
  masterKey: string | undefined
  previousMasterKey: string | undefined
  adminApiKey: string | undefined
  storageUrl: string
  /** Whoever reaches this only from this machine may aim webhooks at this machine. */
  outboundLoopback: boolean
  /** The worker's, which is not killed before they are over. */
  drainSeconds: number
  cancelGraceSeconds: number
  metricsPort: number | undefined
  logLevel: string
  /** New for each run: a killed run's worker may still be draining under its own name. */
  workerName: string
  /** Everything else that was set, handed on to the apps as it came. */
  inherited: Record<string, string | undefined>
}
