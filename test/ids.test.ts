import { fromTypeId, newId, toTypeId } from '@millrace/database/ids'
import fc from 'fast-check'
import { TypeID } from 'typeid-js'
import { expect, test } from 'vitest'

test('public ids are TypeIDs, as the library of their specification spells and reads them', () => {
  const given = fc.oneof(fc.uuid(), fc.constantFrom(lowest, highest), fc.constant(null).map(newId))
  fc.assert(
    fc.property(given, (uuid) => {
      const id = toTypeId('pred', uuid)
      expect(id).toBe(TypeID.fromUUID('pred', uuid).toString())
      expect(fromTypeId('pred', id)).toBe(uuid)
    }),
    { numRuns: 2_000 },
  )
})

test('what differs from a public id in any character is another one or none', () => {
  const edits = fc.tuple(fc.uuid(), fc.nat(30), fc.string({ maxLength: 2 }))
  fc.assert(
    fc.property(edits, ([uuid, at, put]) => {
      const id = toTypeId('pred', uuid)
      const text = id.slice(0, at) + put + id.slice(at + 1)
      const read = fromTypeId('pred', text)
      expect(read !== undefined).toBe(isReadByLibrary(text))
      if (text !== id) expect(read).not.toBe(uuid)
    }),
    { numRuns: 2_000 },
  )
})

test.each([
  ['another prefix', 'key_01h455vb4pex5vsknk084sn02q'],
  ['no prefix', '01h455vb4pex5vsknk084sn02q'],
  ['no underscore', 'pred01h455vb4pex5vsknk084sn02q'],
  ['capitals', 'pred_01H455VB4PEX5VSKNK084SN02Q'],
  ['letters that base32 leaves out', 'pred_01h455vb4pex5vsknk084sniil'],
  ['more than 128 bits', 'pred_81h455vb4pex5vsknk084sn02q'],
  ['a line break after it', 'pred_01h455vb4pex5vsknk084sn02q\n'],
  ['a UUID', '01890a5d-ac96-774b-bcce-b302099a8057'],
  ['nothing', ''],
])('%s is no id of a prediction', (_what, text) => {
  expect(fromTypeId('pred', text)).toBeUndefined()
})

const lowest = '00000000-0000-0000-0000-000000000000'
const highest = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/** The library reads some texts that it would spell otherwise: those are none. */
function isReadByLibrary(text: string): boolean {
  try {
    return TypeID.fromString(text, 'pred').toString() === text
  } catch {
    return false
  }
}
