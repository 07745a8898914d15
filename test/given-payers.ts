import { newId } from '@millrace/database/ids'
import { moveCredits } from '@millrace/ledger/move-credits'
import { expect } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { type GivenAccount, givenAccount } from './given-accounts.ts'
import type { RemoteService } from './given-hosts.ts'
import { until } from './harness/wait.ts'
import { type ChatHost, type ChatScript, completion, givenChatHost, whole } from './hosts/chat.ts'
import { moneyOf } from './money-of.ts'

/** Three tokens of a prompt and two of an answer cost seven credits. */
const pricing = { amount: 0, unit: 'token', input_amount: 1, output_amount: 2 }
export const used = 7
export const said = whole(200, completion('Hello mill'))
export const messages = [{ role: 'user' as const, content: 'a mill' }]
/** Held for these messages: the guess of the prompt, and ten tokens of an answer. */
export const held = 8 + 2 * 10
export const vector = whole(200, {
  data: [{ index: 0, embedding: [1, 0] }],
  usage: { prompt_tokens: 5, total_tokens: 5 },
})

/** An account with so many credits, and its client. */
export async function givenPayer(service: RemoteService, credits: number): Promise<Payer> {
  const account = await givenAccount(service)
  const amount = credits * 1_000_000
  if (amount !== 0)
    await moveCredits(service.db, { accountId: account.accountId, amount, reason: 'For a test' })
  return { ...account, call: callerOf(service.url, account.apiKey) }
}

/** A model of chat with that price, at a host that answers like this. */
export async function givenPriced(
  service: RemoteService,
  script: ChatScript = said,
  more: object = {},
): Promise<Priced> {
  const host = await givenChatHost(script)
  const model = `priced-${newId()}`
  const provider = { kind: 'openai', base_url: host.url }
  const traits = { type: 'text', apis: ['chat'], retries: 0, pricing, max_output_tokens: 10, ...more }
  await service.serve({ [model]: { ...traits, provider } })
  return { host, model }
}

/** In credits, once nothing is held any more. */
export async function settled({ db }: RemoteService, { accountId }: GivenAccount) {
  const money = await until(
    async () => {
      const found = await moneyOf(db, accountId)
      return found.held === 0 && found.holds === 0 && found
    },
    { what: 'the charges to be booked' },
  )
  expect(money.balance).toBe(money.entries)
  return { balance: money.balance / 1_000_000, charges: money.charges }
}

/** What a reply says was charged, and is left. */
export const creditsOf = ({ headers }: { headers: Headers }) =>
  ['x-credits-used', 'x-credits-remaining'].map((name) => headers.get(name))

/** An account, and its client. */
export interface Payer extends GivenAccount {
  call: ApiCaller
}

/** A model, and its host. */
export interface Priced {
  host: ChatHost
  model: string
}
