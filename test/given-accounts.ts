import { createAccount } from '@millrace/accounts/accounts'
import { createKey, createKeyRing } from '@millrace/accounts/api-keys'
import { newId } from '@millrace/database/ids'
import type { Service } from './harness/service.ts'

/** One more account of a running service, with a key of its own. */
export async function givenAccount({ db, masterKey }: Service): Promise<GivenAccount> {
  const accountId = await createAccount(db, createKeyRing(masterKey), `account ${newId()}`)
  return { accountId, apiKey: (await givenKey({ db, masterKey }, accountId)).key }
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
