import type { ResponseMeta } from './blank-response.ts'
import type { ResponseEvent } from './event.ts'
import type { ResponseObject } from './response.ts'
import { ResponseTeller } from './response-teller.ts'
import { chunkOfPart, partsOf } from './told-part.ts'

/** A response that has ended, as the events it may have come in: the same ones whenever it is told again. */
export function* retell(response: ResponseObject, meta: ResponseMeta): Generator<ResponseEvent, void> {
  const teller = new ResponseTeller(meta)
  yield* teller.begin()
  for (const [index, part] of partsOf(response.output).entries()) yield* teller.read(chunkOfPart(part, index))
  yield* teller.endWith(response)
}
