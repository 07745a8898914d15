import { TypeID } from 'typeid-js'
import { v7 as uuidv7 } from 'uuid'
import { databaseNow } from './clock.ts'

/** A new UUIDv7, rising within this process, dated by the database's clock (see clock.ts). */
export function newId(): string {
  const now = databaseNow()
  // The clock's offset may be corrected backwards; ids of one process rise all the same.
  sequence = now > newest ? Math.floor(Math.random() * 2 ** 24) : sequence + 1
  newest = Math.max(now, newest)
  return uuidv7({ msecs: newest, seq: sequence })
}

/** The public spelling of an id: `pred_01h455vb4pex5vsknk084sn02q`. */
export function toTypeId(prefix: IdPrefix, uuid: string): string {
  return TypeID.fromUUID(prefix, uuid).toString()
}

/** The uuid behind a public id, or undefined when it is not a `prefix` id at all. */
export function fromTypeId(prefix: IdPrefix, text: string): string | undefined {
  try {
    const id = TypeID.fromString(text, prefix)
    return id.toString() === text ? id.toUUID() : undefined
  } catch {
    return undefined
  }
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

let newest = 0
let sequence = 0

export type IdPrefix = 'pred' | 'req' | 'file' | 'whe' | 'msg' | 'acct' | 'key'
