import { isRecord } from '@millrace/models/is-record'
import type { ToolCallDelta } from '../chat.ts'

/** Tells to which call of an answer a delta belongs: that of its index, unless a host counts wrongly. */
export class CallSlots<Slot extends { id: string; name: string }> {
  readonly #slots: { index: number; slot: Slot }[] = []

  /** The call that the delta adds to, made when it is a new one. */
  find(delta: ToolCallDelta, make: () => Slot): { slot: Slot; isNew: boolean } {
    const { index } = delta
    const known = this.#slots.findLast((one) => one.index === index)?.slot
    if (known && !isAnother(delta, known)) return { slot: known, isNew: false }
    const slot = make()
    this.#slots.push({ index, slot })
    return { slot, isNew: true }
  }
}

/** The calls of a delta in the shape that they should have; some hosts give arguments as an object, and not as text. */
export function callsOf(calls: unknown): ToolCallDelta[] {
  if (!Array.isArray(calls)) return []
  return calls.filter(isRecord).map(({ index, id, function: called }) => {
    const { name, arguments: args } = isRecord(called) ? called : {}
    return {
      index: typeof index === 'number' ? index : 0,
      id: textOrNone(id),
      function: {
        name: textOrNone(name),
        arguments: isRecord(args) ? JSON.stringify(args) : textOrNone(args),
      },
    }
  })
}

/** Some hosts give every call the index 0, or none: then another id with a name is another call. */
function isAnother({ id, function: called }: ToolCallDelta, known: { id: string; name: string }): boolean {
  return Boolean(id && known.id && id !== known.id && called?.name)
}

function textOrNone(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
