import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

/** Reads the API's configuration from the environment. Throws one error that names every problem. */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const { PUBLIC_URL, OUTBOUND_LOOPBACK, ...rest } = read(schema, environment)
  const publicUrl = PUBLIC_URL ?? `http://${rest.HOST === '0.0.0.0' ? 'localhost' : rest.HOST}:${rest.PORT}`
  return {
    ...rest,
    PUBLIC_URL: publicUrl.replace(/\/+$/, ''),
    OUTBOUND_LOOPBACK: OUTBOUND_LOOPBACK ?? /^(127\.|localhost$|::1$)/.test(rest.HOST),
    version: packageVersion(),
  }
}

/** What `npm run migrate` needs. */
export function readMigrateConfig(
  environment: NodeJS.ProcessEnv = process.env,
): z.infer<typeof migrateSchema> {
  return read(migrateSchema, environment)
}

/**
 * What `npm run admin` needs. Without DATABASE_URL it is the database of the running `npm start`, as DATA_DIR notes it.
 */
export async function readAdminConfig(environment: NodeJS.ProcessEnv = process.env): Promise<AdminConfig> {
  if (environment.DATABASE_URL) return read(adminSchema, environment)
  const dataDir = environment.DATA_DIR || '.millrace'
  const noted = (name: string) =>
    readFile(join(dataDir, name), 'utf8').catch(() => {
      throw new Error(`There is no DATABASE_URL, and no running \`npm start\` to be found in ${dataDir}.`)
    })
  const [url, key] = await Promise.all([noted('database-url'), environment.MASTER_KEY || noted('master-key')])
  return read(adminSchema, { DATABASE_URL: url.trim(), MASTER_KEY: key.trim() })
}

function read<T extends z.ZodType>(shape: T, environment: NodeJS.ProcessEnv): z.infer<T> {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const result = shape.safeParse(given)
  if (result.success) return result.data
  const problems = result.error.issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`)
  throw new Error(`The settings cannot be used.\n${problems.join('\n')}`)
}

/** The dialects that DIALECTS may name. */
export const dialects = ['skytells', 'skillboss', 'openai'] as const

function packageVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
)
const flag = z.enum(['true', 'false']).transform((text) => text === 'true')

const schema = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  PUBLIC_URL: z.url().optional(),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'is required: a postgres:// URL' }),
  DATABASE_POOL: z.coerce.number().int().min(2).default(10),
  REDIS_URL: z.string().optional(),
  QUEUE_PREFIX: z.string().optional(),
  MASTER_KEY: z
    .string('is required: 32 characters or more, the same for every process on that database')
    .min(32, 'must have at least 32 characters'),
  MASTER_KEY_PREVIOUS: z.string().min(32, 'must have at least 32 characters').optional(),
  // The keys of a bucket are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which its client reads itself.
  STORAGE_URL: z.url({ protocol: /^(file|s3)$/, error: 'is required: a file:// or s3:// URL' }),
  MODELS_DIR: z.string().optional(),
  TEST_MODELS: flag.default(false),
  OUTBOUND_ALLOW: list.default([]),
  OUTBOUND_LOOPBACK: flag.optional(),
  CORS_ORIGINS: list.default([]),
  // A number of hops, `true`, or whose word is believed: addresses, ranges and express's names for some.
  TRUST_PROXY: z
    .string()
    .transform((text) => (/^\d+$/.test(text) ? Number(text) : text === 'true' ? true : text))
    .optional(),
  DIALECTS: list.pipe(z.array(z.enum(dialects))).default([...dialects]),
  MAX_BODY_BYTES: z.coerce
    .number()
    .int()
    .min(1024)
    .default(10 * 1024 * 1024),
  MAX_FILE_BYTES: z.coerce
    .number()
    .int()
    .min(1024)
    .default(256 * 1024 * 1024),
  RETENTION_VALUES_DAYS: z.coerce.number().int().min(1).max(365_000).default(30),
  RETENTION_FILES_DAYS: z.coerce.number().int().min(1).max(365_000).default(7),
  // Whether the model send-email is on shows in the catalogue.
  SMTP_URL: z.url({ protocol: /^smtps?$/, error: 'must be an smtp:// or smtps:// URL' }).optional(),
  MAIL_FROM: z.string().optional(),
  // An OpenAI-compatible moderation host, which prompts and answers are shown to.
  SAFETY_URL: z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional(),
  SAFETY_API_KEY: z.string().optional(),
  SAFETY_MODEL: z.string().optional(),
  BATCH_CONCURRENCY: z.coerce.number().int().min(1).max(1000).default(16),
  BATCH_SLOTS: z.coerce.number().int().min(0).max(100).default(4),
  BALANCE_WARNING_CREDITS: z.coerce.number().min(0).max(1_000_000_000).default(10),
  CREDITS_PER_USD: z.coerce.number().positive().max(1_000_000).default(1),
  AWAIT_SECONDS: z.coerce.number().min(0).max(300).default(50),
  // OpenAI's clients give up after 600: they should hear of us before.
  MEDIA_AWAIT_SECONDS: z.coerce.number().min(0).max(3600).default(590),
  PARTITIONS: z.enum(['month', 'day']).default('month'),
  METRICS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  METRICS_HOST: z.string().optional(),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  SUPERVISED: z.string().optional(),
})

const adminSchema = schema.pick({ DATABASE_URL: true, MASTER_KEY: true })
const migrateSchema = schema
  .pick({ DATABASE_URL: true, MASTER_KEY: true, PARTITIONS: true })
  .extend({ ADMIN_API_KEY: z.string().optional() })

type AdminConfig = z.infer<typeof adminSchema>

export type Config = Omit<z.infer<typeof schema>, 'PUBLIC_URL' | 'OUTBOUND_LOOPBACK'> & {
  PUBLIC_URL: string
  OUTBOUND_LOOPBACK: boolean
  version: string
}
