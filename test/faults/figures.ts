import { isTerminal } from '@millrace/contract/statuses'
import { type Facts, gather } from './facts.ts'
import type { Entry } from './history.ts'
import type { Figures } from './scenario.ts'

/** What the history of any play tells in figures. What was not looked at is left out: it is not known to be none. */
export function figuresOf(entries: Entry[]): Figures {
  const facts = gather(entries)
  return {
    predictions: facts.createsBy.id.size,
    faults: entries.filter(({ is }) => is === 'fault').length,
    webhooks: sum([...facts.received.values()].map(({ length }) => length)),
    ...(facts.rows.size > 0 && { losses: lossesIn(facts) }),
    repeats: sum([...facts.received.values()].map(({ length }) => length - 1)),
    ...(facts.rows.size > 0 && { reruns: rerunsIn(facts) }),
    ...recoveryIn(entries),
  }
}

/** How many were accepted and have not ended; what was deleted may be gone. */
function lossesIn({ creates, rows, deletes }: Facts): number {
  const accepted = creates.flatMap(({ id, status }) => (id && status >= 200 && status < 300 ? id : []))
  const lost = accepted.filter((id) => {
    const row = rows.get(id)
    return row ? !isTerminal(row.status) : !deletes.has(id)
  })
  return new Set(lost).size
}

function rerunsIn({ rows }: Facts): number {
  return sum([...rows.values()].map(({ attempt }) => Math.max(0, attempt - 1)))
}

/** The longest that it took after a fault until all was quiet, in milliseconds. */
function recoveryIn(entries: Entry[]): Figures {
  const first = entries.findIndex(({ is }) => is === 'fault')
  const took = entries.slice(first + 1).flatMap((entry) => (entry.is === 'quiet' ? entry.ms : []))
  return took.length > 0 ? { recovery: Math.max(...took) } : {}
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}
