import { nearest } from '@millrace/models/nearest'
import type { Response } from 'express'

/** The names that were sent and are none of ours, each with the one of ours that was probably meant. */
export function ignoredFields(sent: Iterable<string>, known: readonly string[]): IgnoredField[] {
  return [...sent]
    .filter((name) => !known.includes(name))
    .map((name) => ({ name, meant: nearest(name, known) }))
}

/** Names them in the headers of the reply: all in `x-ignored-fields`, and those that were meant in `x-did-you-mean`. */
export function nameIgnored(response: Response, ignored: readonly IgnoredField[]): void {
  const names = ignored.map(({ name }) => headerSafe(name))
  const meant = ignored.flatMap(({ name, meant }) => (meant ? [`${headerSafe(name)}=${meant}`] : []))
  if (names.length > 0) response.set('x-ignored-fields', listed(names))
  if (meant.length > 0) response.set('x-did-you-mean', listed(meant))
}

/** What to tell a person of those that were probably misspelt. */
export function hintsAt(ignored: readonly IgnoredField[]): string[] {
  return ignored.flatMap(({ name, meant }) =>
    meant ? [`"${name}" is no field of this request and was ignored; did you mean "${meant}"?`] : [],
  )
}

/** A name as a part of a header's value: what a header cannot hold is percent-encoded. */
function headerSafe(name: string): string {
  return encodeURIComponent(name.toWellFormed())
}

function listed(values: string[]): string {
  return values.join(', ').slice(0, 1000)
}

export interface IgnoredField {
  name: string
  meant: string | undefined
}
