/**
 * The ids of a response's items: made of the response's own id and the item's place, so that the same answer has the
 * same ids whenever it is told again, and an item's id tells in which response it is.
 */
export function itemId(prefix: 'msg' | 'fc' | 'rs', responseId: string, outputIndex: number): string {
  return `${prefix}_${withoutPrefix(responseId)}_${outputIndex}`
}

/** The id for a call that the host gave none. */
export function callId(responseId: string, outputIndex: number): string {
  return `call_${withoutPrefix(responseId)}_${outputIndex}`
}

/** The response that an item with this id is in, and its place in the output; undefined for an id that is not ours. */
export function placeOf(id: string): { responseId: string; outputIndex: number } | undefined {
  const [, response, index] = /^(?:msg|fc|rs)_(.+)_(\d+)$/.exec(id) ?? []
  return response === undefined ? undefined : { responseId: `resp_${response}`, outputIndex: Number(index) }
}

function withoutPrefix(responseId: string): string {
  return responseId.replace(/^resp_/, '')
}
