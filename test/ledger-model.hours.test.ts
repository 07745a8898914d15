import { test } from 'vitest'
import { freshDatabase } from './harness/database.ts'
import { tellMany } from './ledger-model.ts'

test('the same of 100,000 stories', { timeout: 12 * 3600_000 }, async () => {
  const database = await freshDatabase()
  await tellMany(database.db, 100_000)
  await database.drop()
})
