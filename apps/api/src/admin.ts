import { parseArgs } from 'node:util'
import { connect } from '@millrace/database/connect'
import { accountCommands } from './admin/account-commands.ts'
import { creditCommands } from './admin/credit-commands.ts'
import { keyCommands } from './admin/key-commands.ts'
import { planCommands } from './admin/plan-commands.ts'
import { readAdminConfig } from './config.ts'

/** `npm run admin -- …`: accounts, keys, credits and plans from the command line. */
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    account: { type: 'string' },
    act: { type: 'string' },
    name: { type: 'string' },
    expires: { type: 'string' },
    scopes: { type: 'string' },
    models: { type: 'string' },
    'deny-models': { type: 'string' },
    ip: { type: 'string' },
    'credit-limit': { type: 'string' },
    overlap: { type: 'string' },
    plan: { type: 'string' },
    weight: { type: 'string' },
    'over-limit': { type: 'string' },
    admin: { type: 'boolean' },
    reason: { type: 'string' },
    'retention-files-days': { type: 'string' },
    'retention-data-days': { type: 'string' },
  },
})

const usage = `npm run admin -- accounts create NAME [--plan NAME] [--weight N] [--over-limit queue|refuse]
npm run admin -- accounts list
npm run admin -- accounts set NAME [--name NAME] [--plan NAME] [--weight N] [--over-limit queue|refuse|none] [--retention-files-days N|none] [--retention-data-days N|none]
npm run admin -- accounts suspend|unsuspend NAME
npm run admin -- keys create --account NAME [--name NAME] [--expires 2027-01-31] [--scopes A,B] [--models 'A,B*'] [--deny-models 'C,service:partner'] [--ip 10.1.0.0/16] [--credit-limit 100/month] [--admin]
npm run admin -- keys list --account NAME
npm run admin -- keys rotate key_… [--overlap SECONDS]
npm run admin -- keys revoke key_…
npm run admin -- credits add AMOUNT --account NAME --reason TEXT
npm run admin -- credits take AMOUNT --account NAME --reason TEXT
npm run admin -- credits balance --account NAME
npm run admin -- plans list
npm run admin -- plans set NAME '{"limits": {"requests": 60}}'
npm run admin -- audit [--account NAME] [--act key.create]
npm run admin -- models list
npm run admin -- models check
npm run admin -- models try NAME [-i field=value] [-i field=@file]`

const commands = { ...accountCommands, ...keyCommands, ...creditCommands, ...planCommands }
const ownWords = positionals[0] === 'audit' ? 1 : 2
const command = commands[positionals.slice(0, ownWords).join(' ')]
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
  console.log(await command({ db, masterKey: config.MASTER_KEY, flags, words: positionals.slice(ownWords) }))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  await db.close()
}
