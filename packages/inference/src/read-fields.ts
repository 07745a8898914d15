import { isRecord } from '@millrace/models/is-record'
import { InferenceFault } from './fault.ts'

/** The fault of a parameter that is not as it must be. */
export function badParameter(param: string, message: string): InferenceFault {
  return new InferenceFault('INVALID_PARAMETER', message, { param })
}

/** The value as an object, or the fault of the parameter. */
export function asRecord(value: unknown, param: string): Record<string, unknown> {
  if (isRecord(value)) return value
  throw badParameter(param, `${param} must be an object.`)
}

/** The value as a list, or the fault of the parameter. */
export function asList(value: unknown, param: string): unknown[] {
  if (Array.isArray(value)) return value
  throw badParameter(param, `${param} must be a list.`)
}

/** The value as text, or the fault of the parameter. */
export function asText(value: unknown, param: string): string {
  if (typeof value === 'string') return value
  throw badParameter(param, `${param} must be a string.`)
}

/** A value of any kind, to be named in a sentence: not all of them can be made a string. */
export function inWords(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined')
}

/** Only what has a value: hosts take an absent parameter for its default, and some refuse null. */
export function withoutAbsent<T extends object>(fields: T): Partial<T> {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)
  return Object.fromEntries(present) as Partial<T>
}
