import type { Actor } from '@millrace/accounts/audit'
import { listAccounts } from '@millrace/accounts/manage-accounts'
import type { Database } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import type { z } from 'zod'

/** What the audit log says of everything here. */
export const actor: Actor = { kind: 'cli' }

/** The id of the account that a command names by its name or id. Throws for one that there is not. */
export async function accountIdOf(db: Database, wanted = 'default'): Promise<string> {
  const account = (await listAccounts(db)).find(
    ({ id, name }) => name === wanted || toTypeId('acct', id) === wanted,
  )
  if (!account) throw new Error(`There is no account "${wanted}". See: npm run admin -- accounts list`)
  return account.id
}

/** What was given, as the contract wants it of requests, too. Throws an error that says what is wrong. */
export function checked<T extends z.ZodType>(shape: T, given: unknown): z.output<T> {
  const result = shape.safeParse(given)
  if (result.success) return result.data
  throw new Error(result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'))
}

/** The parts of a list with commas; undefined where the flag is not there. */
export function listOf(text: string | undefined): string[] | undefined {
  return text
    ?.split(',')
    .map((part) => part.trim())
    .filter(Boolean)
}

/** A number; undefined where the flag is not there. Throws for what is none. */
export function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (text === '' || Number.isNaN(number)) throw new Error(`--${name} takes a number.`)
  return number
}

/** Runs one command; `words` are those after its own. Answers what is to be printed. */
export type Command = (run: CommandRun) => Promise<string>

interface CommandRun {
  db: Database
  masterKey: string
  flags: Flags
  words: readonly string[]
}

export interface Flags {
  [name: string]: string | boolean | undefined
  account?: string | undefined
  act?: string | undefined
  reason?: string | undefined
  'credit-limit'?: string | undefined
  name?: string | undefined
  expires?: string | undefined
  scopes?: string | undefined
  models?: string | undefined
  'deny-models'?: string | undefined
  ip?: string | undefined
  overlap?: string | undefined
  plan?: string | undefined
  weight?: string | undefined
  'over-limit'?: string | undefined
  'retention-files-days'?: string | undefined
  'retention-data-days'?: string | undefined
  admin?: boolean | undefined
}
