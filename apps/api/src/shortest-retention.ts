import { databaseNow } from '@millrace/database/clock'
import type { Retention } from '@millrace/database/tables'
import { maxAttempts } from '@millrace/lifecycle/lifecycle'

/**
 * For how long a prediction's files and values are kept: the shortest that its request, its model or its account says;
 * null where none of them says anything. Values that go take the files with them, which only they name.
 */
export function shortestRetention(...stated: Retention[]): Retention | null {
  const data = least(stated.map(({ data_days }) => data_days))
  const files = least([data, ...stated.map(({ files_days }) => files_days)])
  if (files === undefined) return null
  return { files_days: files, ...(data === undefined ? {} : { data_days: data }) }
}

/**
 * Until when an input's files are there at least: a month, or less where they are to go sooner, yet until the last run
 * that may still read them. The end of the prediction is what they are counted from then.
 */
export function inputEnd(retention: Retention | null, { timeouts, runAt }: Times): Date {
  const needed = (timeouts.start + maxAttempts * timeouts.run) / 86_400 + 1
  const days = Math.min(inputDays, retention?.files_days ?? inputDays)
  const from = Math.max(databaseNow(), runAt?.getTime() ?? 0)
  return new Date(from + Math.max(days, needed) * 86_400_000)
}

function least(numbers: (number | undefined)[]): number | undefined {
  const known = numbers.filter((number) => number !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

interface Times {
  timeouts: { start: number; run: number }
  runAt: Date | null
}

/** Files of an input live this long after it came, where nobody asked for less. */
const inputDays = 30
