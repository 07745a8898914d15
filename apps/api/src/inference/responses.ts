import { endpoints } from '@millrace/contract/endpoints'
import { inferenceWords } from '@millrace/contract/inference-errors'
import { newId, toTypeId } from '@millrace/database/ids'
import type { ChatReply } from '@millrace/inference/backend'
import { judgeChunks } from '@millrace/inference/judge-chunks'
import { blankResponse, type ResponseMeta } from '@millrace/inference/responses/blank-response'
import type { ResponseEvent } from '@millrace/inference/responses/event'
import type { ResponseObject } from '@millrace/inference/responses/response'
import { responseEvents } from '@millrace/inference/responses/response-events'
import { toResponse } from '@millrace/inference/responses/to-response'
import { isFiltered, type Verdict } from '@millrace/inference/safety'
import type { ApiError } from '../api-error.ts'
import { answered, route } from '../route.ts'
import { type AskedTurn, askedTurn } from './asked-turn.ts'
import { beginInBackground } from './background.ts'
import { checkAnswer, checkPrompt } from './check-safety.ts'
import { type Call, infer } from './infer.ts'
import { keepAnswer } from './keep-answer.ts'
import { frameOf } from './response-stream.ts'
import { runChat } from './run-chat.ts'
import { sendStream } from './send-stream.ts'

export const createResponse = route(endpoints.createResponse, (incoming) => {
  const { body, query } = incoming
  const stream = query.stream ?? body.stream ?? false
  return infer(
    incoming,
    { surface: 'responses', slug: body.model, stream, isCreate: body.background === true },
    async (call) => {
      const asked = await askedTurn(call, body)
      const prompt = await checkPrompt(call, asked.chat.messages)
      if (body.background) return beginInBackground(incoming, call, asked, stream)
      const turn = { ...asked, prompt, meta: metaOf(call, asked, body.store ?? true) }
      if (!stream) return wholeResponse(call, turn, await runChat(call, asked.chat))
      // Once the stream tells of its fault itself, that is not told twice.
      const told = { end: false }
      await sendStream(
        call,
        runChat(call, { ...asked.chat, stream: true }).then((reply) => framesOf(call, turn, reply, told)),
        (fault) => (told.end ? ': the end\n\n' : failedFrames(turn.meta, fault)),
      )
      return answered
    },
  )
})

function metaOf({ slug }: Call, { request }: AskedTurn, store: boolean): ResponseMeta & { uuid: string } {
  const uuid = newId()
  return {
    uuid,
    id: toTypeId('resp', uuid),
    createdAt: now(),
    completedAt: now,
    model: slug,
    request,
    store,
  }
}

async function wholeResponse(call: Call, turn: Turn, reply: ChatReply): Promise<ResponseObject> {
  if (reply.kind === 'stream') throw new Error('A host streamed what was asked for as a whole.')
  const [verdict] = await checkAnswer(call, reply.completion)
  return kept(call, turn, withFilters(call, turn, toResponse(reply.completion, turn.meta), verdict))
}

/** The frames of a stream: event by event, as they come. What is told as the end is stored by then. */
async function* framesOf(call: Call, turn: Turn, reply: ChatReply, told: { end: boolean }) {
  if (reply.kind === 'whole') throw new Error('A host answered as a whole what was asked for as a stream.')
  let verdict: Verdict | undefined
  const chunks = judgeChunks(reply.chunks, call.context.safety, call, {
    judged(found) {
      verdict = found
    },
  })
  for await (const event of responseEvents(chunks, turn.meta)) {
    if (!isEnd(event)) {
      yield frameOf(event)
      continue
    }
    told.end = true
    const response = await kept(call, turn, withFilters(call, turn, event.response, verdict))
    yield frameOf({ ...event, response })
  }
}

/** Keeps it where that was asked for, and says so. Who has gone has no id to ask for it by. */
async function kept(call: Call, turn: Turn, response: ResponseObject): Promise<ResponseObject> {
  const { meta, request, previousId } = turn
  if (!meta.store || call.signal.aborted) return response
  const { uuid: id } = meta
  const isKept = await keepAnswer(call, { id, surface: 'responses', previousId, request, answer: response })
  return isKept ? response : { ...response, store: false }
}

function withFilters(
  { context }: Call,
  { prompt }: Turn,
  response: ResponseObject,
  verdict: Verdict | undefined,
): ResponseObject {
  if (!context.safety.looks) return response
  const said = verdict && isFiltered(verdict) ? { output: [], output_text: '' } : {}
  const found = [
    { source_type: 'prompt', content_filter_results: prompt },
    ...(verdict ? [{ source_type: 'completion', content_filter_results: verdict }] : []),
  ]
  return { ...response, ...said, content_filters: found }
}

/** The whole stream of what failed before its first event, when the status line had gone already. */
function failedFrames(meta: ResponseMeta, { id, message }: ApiError): string {
  const response = blankResponse(meta)
  const { code } = inferenceWords(id)
  const events: ResponseEvent[] = [
    { type: 'response.created', response, sequence_number: 0 },
    {
      type: 'response.failed',
      response: { ...response, status: 'failed', error: { code, message } },
      sequence_number: 1,
    },
  ]
  return events.map(frameOf).join('')
}

function isEnd(event: ResponseEvent): event is Extract<ResponseEvent, { response: ResponseObject }> {
  return 'response' in event && event.response.status !== 'in_progress'
}

function now(): number {
  return Math.floor(Date.now() / 1000)
}

interface Turn extends AskedTurn {
  prompt: Verdict
  meta: ResponseMeta & { uuid: string }
}
