import { ApiError } from './api-error.ts'

/**
 * The times that `from` and `to` name, as a half-open range: days (`YYYY-MM-DD`, UTC) are whole and inclusive.
 * Throws INVALID_DATE_FORMAT, and INVALID_DATE_RANGE when `from` is after `to`.
 */
export function timeRange(from: string | undefined, to: string | undefined): { from?: Date; to?: Date } {
  const start = from === undefined ? undefined : parse('from', from)
  const end = to === undefined ? undefined : parse('to', to)
  if (start && end && start.time > end.time) throw new ApiError('INVALID_DATE_RANGE')
  return {
    ...(start ? { from: new Date(start.time) } : {}),
    ...(end ? { to: new Date(end.time + (end.wholeDay ? 86_400_000 : 1)) } : {}),
  }
}

function parse(name: string, text: string): { time: number; wholeDay: boolean } {
  const wholeDay = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const full = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?$/.test(text)
  const time = wholeDay
    ? Date.parse(`${text}T00:00:00Z`)
    : full
      ? Date.parse(/(Z|[+-]\d{2}:?\d{2})$/.test(text) ? text : `${text}Z`)
      : Number.NaN
  // Date.parse takes 31 February for 3 March; the day must be one that there is.
  const day = Date.parse(`${text.slice(0, 10)}T00:00:00Z`)
  const rolled = Number.isNaN(day) || !new Date(day).toISOString().startsWith(text.slice(0, 10))
  if (Number.isNaN(time) || rolled || time < 0) {
    const message = 'must be YYYY-MM-DD or an ISO 8601 time'
    throw new ApiError('INVALID_DATE_FORMAT', `${name} ${message}.`, { fields: [{ path: name, message }] })
  }
  return { time, wholeDay }
}
