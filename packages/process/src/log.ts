import { type Logger, pino } from 'pino'

/** A logger that writes JSON lines to stdout. Secrets are taken out here, so no caller has to remember to. */
export function createLog({ name, level = 'info' }: LogOptions): Log {
  return pino({
    name,
    level,
    redact: { paths: secretPaths(), censor: '[redacted]' },
    formatters: { level: (label) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: withoutSecrets, error: withoutSecrets },
  })
}

/** Field names whose values never reach a log, at the top of a line or one or two objects deep. */
const secretFields = [
  'authorization',
  'cookie',
  '["set-cookie"]',
  '["x-api-key"]',
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
]

function secretPaths(): string[] {
  return secretFields.flatMap((field) => {
    const after = field.startsWith('[') ? field : `.${field}`
    return [field, `*${after}`, `*.*${after}`]
  })
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

interface LogOptions {
  name: string
  level?: string
}
