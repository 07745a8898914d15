import { test } from 'vitest'
import { freshDatabase } from './harness/database.ts'
import { tellMany } from './ledger-model.ts'

test('whatever happens in whatever order, and wherever connections break, no credit is lost or made', {
  timeout: 240_000,
}, async () => {
  const database = await freshDatabase()
  await tellMany(database.db, 150)
  await database.drop()
})
