import { type Logger, pino } from 'pino'

/** A logger that writes JSON lines to stdout. Secrets are taken out here, so no caller has to remember to. */
export function createLog({ name, level = 'info' }: LogOptions): Log {
  return pino({
    name,
    level,
    formatters: { level: (label) => ({ level: label }), log: (line) => withoutSecretFields(line, 3) },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: withoutSecrets, error: withoutSecrets },
  })
}

/**
 * Field names whose values never reach a log, at the top of a line or one or two objects deep. Our own walk, since the
 * wildcards of pino's `redact` cost more than all the rest of a line.
 */
const secretFields = new Set([
  'authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'apiKey',
  'api_key',
  'adminKey',
  'masterKey',
  'master_key',
  'password',
  'secret',
  'pepper',
  'databaseUrl',
  'redisUrl',
])

/** The object or list itself where it holds no secret, else a copy. */
function withoutSecretFields(fields: Fields, depth: number): Fields {
  let copy: Fields | undefined
  for (const [name, value] of Object.entries(fields)) {
    const shown = secretFields.has(name) ? '[redacted]' : withoutSecretsInside(value, depth - 1)
    if (shown === value) continue
    copy ??= Object.assign(Array.isArray(fields) ? [] : {}, fields)
    copy[name] = shown
  }
  return copy ?? fields
}

function withoutSecretsInside(value: unknown, depth: number): unknown {
  const isPlain = typeof value === 'object' && value !== null && !(value instanceof Error)
  return isPlain && depth > 0 ? withoutSecretFields(value as Fields, depth) : value
}

/** Drivers put connection strings and whole requests on their errors: only what explains the failure is kept. */
function withoutSecrets(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  return {
    type: error.name,
    message: concealed(error.message),
    stack: concealed(error.stack ?? ''),
    ...('code' in error && { code: error.code }),
    ...(error.cause !== undefined && { cause: withoutSecrets(error.cause) }),
  }
}

function concealed(text: string): string {
  return text
    .replace(/(\w+:\/\/[^\s:/@]*:)[^\s/@]+@/g, '$1[redacted]@')
    .replace(/\bsk-mr-[0-9A-Za-z]+/g, 'sk-mr-[redacted]')
    .replace(/\bwhsec_[0-9A-Za-z+/=]+/g, 'whsec_[redacted]')
}

export type Log = Logger

type Fields = Record<string, unknown>

interface LogOptions {
  name: string
  level?: string
}
