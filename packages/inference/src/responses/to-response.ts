import { chunkOf } from '../answer/chunk-of.ts'
import type { ChatCompletion } from '../chat.ts'
import { InferenceFault } from '../fault.ts'
import { wordsOf } from '../fault-words.ts'
import { blankResponse, type ResponseMeta } from './blank-response.ts'
import type { ResponseObject } from './response.ts'
import { ResponseTeller } from './response-teller.ts'

/** A whole answer as a response: the one with which its stream would have ended. */
export function toResponse(completion: ChatCompletion, meta: ResponseMeta): ResponseObject {
  const teller = new ResponseTeller(meta)
  const events = [...teller.begin(), ...teller.read(chunkOf(completion)), ...teller.end()]
  const last = events.at(-1)
  return last && 'response' in last ? last.response : blankResponse(meta)
}

/** The response to a request that ended in an error before anything came. */
export function toFailedResponse(error: unknown, meta: ResponseMeta): ResponseObject {
  const { code, message } = wordsOf(error instanceof InferenceFault ? error : undefined)
  return { ...blankResponse(meta), status: 'failed', error: { code, message } }
}
