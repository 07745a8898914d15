import { ensureFirstAccount } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import { connect } from '@millrace/database/connect'
import { migrate } from '@millrace/database/migrate'
import { orExit } from '@millrace/process/or-exit'
import { readMigrateConfig } from './config.ts'

/** `npm run migrate`: brings the schema up to date and makes the first account. Safe to run twice at once. */
const { DATABASE_URL, MASTER_KEY, ADMIN_API_KEY, PARTITIONS } = orExit(readMigrateConfig)
const applied = await migrate(DATABASE_URL, { partitions: PARTITIONS })
console.log(applied.length > 0 ? `Applied ${applied.join(', ')}.` : 'The schema is up to date.')

const db = connect({ url: DATABASE_URL, max: 1, name: 'millrace-migrate' })
const keys = await ensureFirstAccount(
  db,
  createKeyRing(MASTER_KEY),
  ADMIN_API_KEY ? { adminKey: ADMIN_API_KEY } : {},
)
if (keys) {
  console.log('Made the first account, "default". Its keys are shown this once:')
  console.log(`  API key:   ${keys.apiKey}`)
  if (!ADMIN_API_KEY) console.log(`  admin key: ${keys.adminKey}`)
}
await db.close()
