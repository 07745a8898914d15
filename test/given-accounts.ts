import { createAccount } from '@millrace/accounts/accounts'
import { createKey, createKeyRing } from '@millrace/accounts/api-keys'
import type { KeyWishes } from '@millrace/accounts/key-bounds'
import { makeKey } from '@millrace/accounts/manage-keys'
import { newId } from '@millrace/database/ids'
import type { Service } from './harness/service.ts'

/** One more account of a running service, with a key of its own. */
export async function givenAccount({ db, masterKey }: Service): Promise<GivenAccount> {
  const accountId = await createAccount(db, createKeyRing(masterKey), `account ${newId()}`)
  return { accountId, apiKey: (await givenKey({ db, masterKey }, accountId)).key }
}

/** A key of the first account, or of another one, with settings of its own; answers its text. */
export async function givenKeyWith(
  { db, masterKey, accountId: first }: Pick<Service, 'db' | 'masterKey' | 'accountId'>,
  { accountId = first, ...settings }: Partial<KeyWishes> & { accountId?: string },
): Promise<string> {
  const wanted = { name: 'test', ...settings, accountId }
  return (await makeKey(db, createKeyRing(masterKey), { kind: 'cli' }, wanted)).key
}

/** One more key of an account. */
export function givenKey(
  { db, masterKey }: Pick<Service, 'db' | 'masterKey'>,
  accountId: string,
  expiresAt?: Date,
): Promise<{ id: string; key: string }> {
  return createKey(db, createKeyRing(masterKey), { accountId, name: 'test', expiresAt })
}

export interface GivenAccount {
  accountId: string
  apiKey: string
}
