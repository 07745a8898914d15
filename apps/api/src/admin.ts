import { parseArgs } from 'node:util'
import { type AccountRow, createAccount, listAccounts, setRetention } from '@millrace/accounts/accounts'
import { createKey, createKeyRing, listKeys, revokeKey } from '@millrace/accounts/api-keys'
import { connect, type Database } from '@millrace/database/connect'
import { fromTypeId, toTypeId } from '@millrace/database/ids'
import { type Balance, readBalance } from '@millrace/ledger/balance'
import { asCredits, asMicros } from '@millrace/ledger/micro'
import { moveCredits } from '@millrace/ledger/move-credits'
import { readAdminConfig } from './config.ts'

/** `npm run admin -- …`: accounts and keys from the command line. */
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    account: { type: 'string' },
    name: { type: 'string' },
    expires: { type: 'string' },
    admin: { type: 'boolean' },
    reason: { type: 'string' },
    'retention-files-days': { type: 'string' },
    'retention-data-days': { type: 'string' },
  },
})

const usage = `npm run admin -- accounts create NAME
npm run admin -- accounts list
npm run admin -- accounts set NAME [--retention-files-days N|none] [--retention-data-days N|none]
npm run admin -- keys create --account NAME [--name NAME] [--expires 2027-01-31] [--admin]
npm run admin -- keys list --account NAME
npm run admin -- keys revoke key_…
npm run admin -- credits add AMOUNT --account NAME --reason TEXT
npm run admin -- credits take AMOUNT --account NAME --reason TEXT
npm run admin -- credits balance --account NAME
npm run admin -- models list
npm run admin -- models check
npm run admin -- models try NAME [-i field=value] [-i field=@file]`

const commands: Record<string, (db: Database, argument: string | undefined) => Promise<string>> = {
  'accounts create': async (db, name) => {
    if (!name) throw new Error('An account needs a name.')
    const id = await createAccount(db, createKeyRing(config.MASTER_KEY), name)
    return `${toTypeId('acct', id)}  ${name}`
  },
  'accounts list': async (db) => {
    return (await listAccounts(db)).map(describeAccount).join('\n')
  },
  'accounts set': async (db, name) => {
    const files = days('retention-files-days')
    const data = days('retention-data-days')
    if (!name || (files === undefined && data === undefined)) throw new Error(`Name what to set.\n${usage}`)
    await setRetention(db, await accountId(db, name), {
      ...(files === undefined ? {} : { retention_files_days: files }),
      ...(data === undefined ? {} : { retention_data_days: data }),
    })
    const account = (await listAccounts(db)).find(
      (one) => one.name === name || toTypeId('acct', one.id) === name,
    )
    return account ? describeAccount(account) : ''
  },
  'keys create': async (db) => {
    const { key, id } = await createKey(db, createKeyRing(config.MASTER_KEY), {
      accountId: await accountId(db),
      name: flags.name ?? 'key',
      admin: flags.admin ?? false,
      expiresAt: expiry(flags.expires),
    })
    return `${toTypeId('key', id)}\n${key}\nThe key is shown this once.`
  },
  'keys list': async (db) => {
    const keys = await listKeys(db, await accountId(db))
    return keys
      .map((key) =>
        [toTypeId('key', key.id), `${key.prefix}…`, stateOf(key), key.admin ? 'admin' : '', key.name].join(
          '  ',
        ),
      )
      .join('\n')
  },
  'keys revoke': async (db, publicId = '') => {
    const id = fromTypeId('key', publicId)
    if (!id || !(await revokeKey(db, id)))
      throw new Error(`There is no valid key ${publicId || '(none named)'}.`)
    return `${publicId} is revoked.`
  },
  'credits add': (db, amount) => move(db, amount, 1),
  'credits take': (db, amount) => move(db, amount, -1),
  'credits balance': async (db) => describeBalance(await readBalance(db, await accountId(db))),
}

const command = commands[positionals.slice(0, 2).join(' ')]
if (!command) {
  console.error(usage)
  process.exit(2)
}
const config = await readAdminConfig().catch((error: Error) => {
  console.error(error.message)
  process.exit(1)
})
const db = connect({ url: config.DATABASE_URL, max: 1, name: 'millrace-admin' })
try {
  console.log(await command(db, positionals[2]))
} catch (error) {
  console.error(
    isTaken(error)
      ? 'There is an account of that name already.'
      : error instanceof Error
        ? error.message
        : error,
  )
  process.exitCode = 1
} finally {
  await db.close()
}

async function accountId(database: Database, wanted = flags.account ?? 'default'): Promise<string> {
  const account = (await listAccounts(database)).find(
    ({ id, name }) => name === wanted || toTypeId('acct', id) === wanted,
  )
  if (!account) throw new Error(`There is no account "${wanted}". See: npm run admin -- accounts list`)
  return account.id
}

async function move(database: Database, text: string | undefined, sign: 1 | -1): Promise<string> {
  const credits = Number(text)
  if (!(credits >= 0.000_001 && credits <= 1_000_000_000)) throw new Error(`Name how many credits.\n${usage}`)
  if (!flags.reason) throw new Error('Say why, for the ledger: --reason TEXT')
  const account = await accountId(database)
  await moveCredits(database, { accountId: account, amount: sign * asMicros(credits), reason: flags.reason })
  return describeBalance(await readBalance(database, account))
}

function describeBalance({ balance, held, available }: Balance): string {
  return `balance ${asCredits(balance)}  held ${asCredits(held)}  available ${asCredits(available)}`
}

function describeAccount({ id, name, retention_files_days, retention_data_days }: AccountRow): string {
  const kept = [
    retention_files_days === null ? '' : `files ${retention_files_days} d`,
    retention_data_days === null ? '' : `data ${retention_data_days} d`,
  ]
  return [toTypeId('acct', id), name, ...kept].filter(Boolean).join('  ')
}

/** A number of days, null for `none`, undefined where the flag is not there. */
function days(flag: 'retention-files-days' | 'retention-data-days'): number | null | undefined {
  const text = flags[flag]
  if (text === undefined || text === 'none') return text && null
  const number = Number(text)
  if (number >= 0.01 && number <= 365_000) return number
  throw new Error(`--${flag} takes a number of days, 0.01 to 365000, or none.`)
}

function expiry(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new Error('--expires takes a date, such as 2027-01-31.')
  return time
}

function stateOf({ revoked_at, expires_at }: { revoked_at: Date | null; expires_at: Date | null }): string {
  if (revoked_at) return 'revoked'
  if (!expires_at) return 'valid'
  return `${expires_at < new Date() ? 'expired' : 'expires'} ${expires_at.toISOString().slice(0, 10)}`
}

function isTaken(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === '23505'
}
