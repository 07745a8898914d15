import { randomFillSync } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { databaseNow } from './clock.ts'
import { fromSuffix, toSuffix } from './typeid.ts'

/**
 * A new UUIDv7, dated by the database's clock (see clock.ts). Those of one process rise, also when its idea of that
 * clock is corrected backwards by a little; when the database's clock is set back they follow it.
 */
export function newId(): string {
  const now = databaseNow()
  const rises = now <= newest && now > newest - correctedMs
  sequence = rises ? sequence + 1 : Math.floor(Math.random() * 2 ** 24)
  newest = rises ? newest : now
  return uuidv7({ msecs: newest, seq: sequence, random: randomBytesOfId() })
}

/**
 * A new UUIDv7 of a moment that the database has told, for what is looked up within bounds around that moment. It is
 * greater than what `newId` makes in the same millisecond.
 */
export function newIdAt(moment: Date): string {
  return uuidv7({
    msecs: moment.getTime(),
    seq: 2 ** 31 + Math.floor(Math.random() * 2 ** 31),
    random: randomBytesOfId(),
  })
}

/** The public spelling of an id: `pred_01h455vb4pex5vsknk084sn02q`. */
export function toTypeId(prefix: IdPrefix, uuid: string): string {
  return `${prefix}_${toSuffix(uuid)}`
}

/** The uuid behind a public id, or undefined when it is not a `prefix` id at all. */
export function fromTypeId(prefix: IdPrefix, text: string): string | undefined {
  return text.startsWith(`${prefix}_`) ? fromSuffix(text.slice(prefix.length + 1)) : undefined
}

/** When a UUIDv7 was made, in milliseconds since 1970. */
export function timeOfId(uuid: string): number {
  return Number.parseInt(uuid.replaceAll('-', '').slice(0, 12), 16)
}

/** The lowest id of a moment, in milliseconds since 1970: for partition bounds and time filters. */
export function idFloor(milliseconds: number): string {
  const hex = Math.floor(milliseconds).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`
}

/** Asked of the system for many ids at once: one at a time they cost more than the rest of a request's id. */
function randomBytesOfId(): Uint8Array {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += 16
  return pool.subarray(used - 16, used)
}

const pool = new Uint8Array(16 * 256)
let used = pool.length

/** More than a measurement of the clock is wrong by. */
const correctedMs = 1_000

let newest = 0
let sequence = 0

export type IdPrefix =
  | 'pred'
  | 'req'
  | 'file'
  | 'whe'
  | 'msg'
  | 'acct'
  | 'key'
  | 'batch'
  | 'resp'
  | 'entry'
  | 'budget'
  | 'audit'
  | 'call'
