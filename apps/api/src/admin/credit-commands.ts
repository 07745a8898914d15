import { type Balance, readBalance } from '@millrace/ledger/balance'
import { asCredits, asMicros } from '@millrace/ledger/micro'
import { moveCredits } from '@millrace/ledger/move-credits'
import { accountIdOf, type Command } from './command.ts'

/** `credits …` */
export const creditCommands: Readonly<Record<string, Command>> = {
  'credits add': (run) => move(run, 1),
  'credits take': (run) => move(run, -1),
  'credits balance': async ({ db, flags }) =>
    described(await readBalance(db, await accountIdOf(db, flags.account))),
}

async function move({ db, flags, words: [text] }: Parameters<Command>[0], sign: 1 | -1): Promise<string> {
  const credits = Number(text)
  if (!(credits >= 0.000_001 && credits <= 1_000_000_000))
    throw new Error('Name how many credits, 0.000001 to 1000000000.')
  if (!flags.reason) throw new Error('Say why, for the ledger: --reason TEXT')
  const accountId = await accountIdOf(db, flags.account)
  await moveCredits(db, { accountId, amount: sign * asMicros(credits), reason: flags.reason })
  return described(await readBalance(db, accountId))
}

function described({ balance, held, available }: Balance): string {
  return `balance ${asCredits(balance)}  held ${asCredits(held)}  available ${asCredits(available)}`
}
