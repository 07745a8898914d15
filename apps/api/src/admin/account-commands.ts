import { createKeyRing } from '@millrace/accounts/api-keys'
import {
  AccountFault,
  type AccountRow,
  changeAccount,
  listAccounts,
  makeAccount,
} from '@millrace/accounts/manage-accounts'
import { createAccount, type PatchAccount, patchAccount } from '@millrace/contract/admin'
import { toTypeId } from '@millrace/database/ids'
import { accountIdOf, actor, type Command, checked, type Flags, numberOf } from './command.ts'

/** `accounts …` */
export const accountCommands: Readonly<Record<string, Command>> = {
  'accounts create': async ({ db, masterKey, flags, words: [name] }) => {
    if (!name) throw new Error('An account needs a name.')
    const wanted = checked(createAccount, { name, ...settingsIn(flags) })
    return described(await makeAccount(db, createKeyRing(masterKey), actor, wanted).catch(inWords))
  },
  'accounts list': async ({ db }) => (await listAccounts(db)).map(described).join('\n'),
  'accounts set': async (run) => {
    const settings = {
      ...settingsIn(run.flags),
      ...(run.flags.name === undefined ? {} : { name: run.flags.name }),
    }
    if (Object.keys(settings).length === 0) throw new Error('Name what to set, such as --plan pro.')
    return change(run, checked(patchAccount, settings))
  },
  'accounts suspend': (run) => change(run, { suspended: true }),
  'accounts unsuspend': (run) => change(run, { suspended: false }),
}

async function change(
  { db, words: [name] }: Parameters<Command>[0],
  settings: PatchAccount,
): Promise<string> {
  if (!name) throw new Error('Name the account.')
  const row = await changeAccount(db, actor, await accountIdOf(db, name), settings).catch(inWords)
  return row ? described(row) : ''
}

function settingsIn(flags: Flags): object {
  const overLimit = flags['over-limit']
  const retention = {
    files_days: days(flags, 'retention-files-days'),
    data_days: days(flags, 'retention-data-days'),
  }
  const settings = {
    plan: flags.plan,
    weight: numberOf('weight', flags.weight),
    over_limit: overLimit === 'none' ? null : overLimit,
    retention: Object.values(retention).some((one) => one !== undefined) ? retention : undefined,
  }
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

/** A number of days, null for `none`, undefined where the flag is not there. */
function days(flags: Flags, flag: 'retention-files-days' | 'retention-data-days'): number | null | undefined {
  const text = flags[flag]
  if (text === undefined || text === 'none') return text && null
  const number = Number(text)
  if (number >= 0.01 && number <= 365_000) return number
  throw new Error(`--${flag} takes a number of days, 0.01 to 365000, or none.`)
}

function described(row: AccountRow): string {
  const { id, name, plan, weight, over_limit, suspended_at, retention_files_days, retention_data_days } = row
  const kept = [
    plan,
    weight === 1 ? '' : `weight ${weight}`,
    over_limit === null ? '' : `over limit: ${over_limit}`,
    suspended_at === null ? '' : 'suspended',
    retention_files_days === null ? '' : `files ${retention_files_days} d`,
    retention_data_days === null ? '' : `data ${retention_data_days} d`,
  ]
  return [toTypeId('acct', id), name, ...kept].filter(Boolean).join('  ')
}

function inWords(error: unknown): never {
  if (!(error instanceof AccountFault)) throw error
  throw new Error(
    error.field === 'name'
      ? 'There is an account of that name already.'
      : 'There is no such plan. See: npm run admin -- plans list',
  )
}
