import { isRecord } from '@millrace/models/is-record'
import { placeOf } from './item-ids.ts'
import type { ResponseItem, ResponsesRequest } from './request.ts'

/** What a request says in its own turn, as items that each have an id. */
export function givenItems({ input = [] }: ResponsesRequest, responseId: string): ResponseItem[] {
  const items: ResponseItem[] =
    typeof input === 'string'
      ? [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: input }] }]
      : input
  return items.map((item, index) => {
    const id = item.id ?? `msg_${responseId.replace(/^resp_/, '')}_in${index}`
    return { ...item, type: item.type ?? 'message', id }
  })
}

/** Where an item is that a response was given or gave; undefined for an id that is not ours. */
export function itemPlace(id: string): ItemPlace | undefined {
  const [, response, index] = /^msg_(.+)_in(\d+)$/.exec(id) ?? []
  if (response !== undefined) return { responseId: `resp_${response}`, of: 'input', index: Number(index) }
  const place = placeOf(id)
  return place && { responseId: place.responseId, of: 'output', index: place.outputIndex }
}

/** The request with the items themselves in place of references to them, so that it can be read without those. */
export function withoutReferences(
  request: ResponsesRequest,
  stored: ReadonlyMap<string, ResponseItem>,
): ResponsesRequest {
  if (!Array.isArray(request.input) || stored.size === 0) return request
  const input = request.input.map((item) => {
    const isReference = isRecord(item) && Object.keys(item).every((key) => key === 'id' || key === 'type')
    return (isReference && item.id && stored.get(item.id)) || item
  })
  return { ...request, input }
}

/** An item of a response, by its place. */
export interface ItemPlace {
  responseId: string
  of: 'input' | 'output'
  index: number
}
