import { createKeyRing } from '@millrace/accounts/api-keys'
import { listKeys, presentKey } from '@millrace/accounts/find-keys'
import { type MadeKey, makeKey, revokeKey, rotateKey } from '@millrace/accounts/manage-keys'
import { createKey, rotateKey as rotateShape } from '@millrace/contract/key'
import { scopes } from '@millrace/contract/scopes'
import { fromTypeId, toTypeId } from '@millrace/database/ids'
import { wishesOf } from '../key-wishes.ts'
import { accountIdOf, actor, type Command, checked, type Flags, listOf, numberOf } from './command.ts'

/** `keys …` */
export const keyCommands: Readonly<Record<string, Command>> = {
  'keys create': async ({ db, masterKey, flags }) => {
    const wanted = checked(createKey, { name: flags.name ?? 'key', ...settingsIn(flags) })
    const wishes = { ...wishesOf(wanted), name: wanted.name, expires_at: expiry(flags.expires) }
    const accountId = await accountIdOf(db, flags.account)
    return shown(await makeKey(db, createKeyRing(masterKey), actor, { ...wishes, accountId }))
  },
  'keys list': async ({ db, flags }) => {
    const keys = await listKeys(db, await accountIdOf(db, flags.account))
    return keys
      .map((row) => {
        const { id, prefix, name, state, expires_at: end, last_used_at: used } = presentKey(row)
        const until = end !== null && state !== 'revoked' ? ` ${end.slice(0, 10)}` : ''
        const words = {
          active: until ? `expires${until}` : 'valid',
          expired: `expired${until}`,
          revoked: 'revoked',
        }
        return [
          id,
          `${prefix}…`,
          words[state],
          row.scopes.includes('admin') ? 'admin' : '',
          used === null ? '' : `used ${used.slice(0, 10)}`,
          name,
        ].join('  ')
      })
      .join('\n')
  },
  'keys rotate': async ({ db, masterKey, flags, words: [publicId = ''] }) => {
    const { overlap } = checked(rotateShape, { overlap: numberOf('overlap', flags.overlap) })
    const id = fromTypeId('key', publicId)
    const about = { id: id ?? '', overlapSeconds: overlap }
    const made = id && (await rotateKey(db, createKeyRing(masterKey), actor, about))
    if (!made) throw noKey(publicId)
    return shown(made)
  },
  'keys revoke': async ({ db, words: [publicId = ''] }) => {
    const id = fromTypeId('key', publicId)
    if (!id || !(await revokeKey(db, actor, { id }))) throw noKey(publicId)
    return `${publicId} is revoked.`
  },
}

function settingsIn(flags: Flags): object {
  const [allow, deny] = [listOf(flags.models), listOf(flags['deny-models'])]
  const settings = {
    scopes: flags.admin ? scopes : listOf(flags.scopes),
    models: allow || deny ? { ...(allow && { allow }), ...(deny && { deny }) } : undefined,
    ip_allow: listOf(flags.ip),
    credit_limit: creditLimitIn(flags['credit-limit']),
  }
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

/** `100/month`; the shape is checked with the rest. */
function creditLimitIn(text: string | undefined): object | undefined {
  if (text === undefined) return undefined
  const [credits, period] = text.split('/')
  return { credits: Number(credits), period }
}

function expiry(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new Error('--expires takes a date, such as 2027-01-31.')
  return time
}

function shown({ row, key }: MadeKey): string {
  return `${toTypeId('key', row.id)}\n${key}\nThe key is shown this once.`
}

function noKey(publicId: string): Error {
  return new Error(`There is no key ${publicId || '(none named)'}.`)
}
