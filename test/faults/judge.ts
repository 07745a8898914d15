import { gather } from './facts.ts'
import type { Entry } from './history.ts'
import { answerPromises } from './promises/answers.ts'
import { createPromises } from './promises/creates.ts'
import { endPromises } from './promises/ends.ts'
import { moneyPromises } from './promises/money.ts'
import type { Promises } from './promises/promises.ts'
import { statusPromises } from './promises/statuses.ts'
import { webhookPromises } from './promises/webhooks.ts'

/**
 * Judges a history by the promises. Answers every breach in words; none means that all held. It looks at nothing but
 * the history, so that a kept one can be judged again.
 */
export function judge(entries: Entry[]): string[] {
  const facts = gather(entries)
  return Object.entries(promises).flatMap(([promise, breaches]) =>
    [...breaches(facts)].map((breach) => `${promise}: ${breach}`),
  )
}

/** Each promise with what breaks it. */
export const promises: Promises = {
  ...createPromises,
  ...statusPromises,
  ...endPromises,
  ...webhookPromises,
  ...moneyPromises,
  ...answerPromises,
}
