import { createChatCompletion, createEmbeddings } from '@millrace/contract/chat'
import type { endpoints } from '@millrace/contract/endpoints'
import { databaseNow } from '@millrace/database/clock'
import type { ChatRequest } from '@millrace/inference/chat'
import { limitAnswer, mostTokens } from '@millrace/inference/limit-answer'
import type { ModelDescription } from '@millrace/models/description'
import { servedApis } from '@millrace/models/served-apis'
import { checkShape } from '../../check-shape.ts'
import { goneSignal } from '../../create.ts'
import { creditsAfter } from '../../inference/bill.ts'
import { answerChat } from '../../inference/chat.ts'
import { checkInput, checkPrompt } from '../../inference/check-safety.ts'
import { embed, estimateEmbeddings, guessEmbeddings } from '../../inference/embeddings.ts'
import { infer } from '../../inference/infer.ts'
import { estimateChat } from '../../inference/run-chat.ts'
import { holderOf, type TokenEstimate, takeTokens } from '../../rates.ts'
import { answer, answered, type Incoming } from '../../route.ts'

/** What a model answers that makes no predictions: it is asked, and nothing is left to be polled. */
export function inferenceOf(model: ModelDescription): Inference | undefined {
  const apis = servedApis(model)
  if (apis.includes('predictions')) return undefined
  if (apis.includes('chat')) return 'chat'
  return apis.includes('embeddings') ? 'embeddings' : undefined
}

/** Whether its caller wants to be told later, which takes a prediction all the same. */
export function wantsPrediction({ body, request }: RunIncoming): boolean {
  const later = body.run_at !== undefined && Date.parse(body.run_at) > databaseNow()
  const isAsync = body.async === true || /respond-async/i.test(request.get('prefer') ?? '')
  return later || isAsync || (body.webhook !== undefined && body.webhook !== null)
}

/** Has it answered here and now, in the shapes of chat and embeddings. */
export async function runAtOnce(
  incoming: RunIncoming,
  needs: Inference,
  inputs: Record<string, unknown>,
): Promise<unknown> {
  const { model: slug } = incoming.body
  const stream = needs === 'chat' && (incoming.body.stream ?? inputs.stream === true)
  const result = await infer(incoming, { surface: 'run', slug, stream, needs }, async (call) => {
    const request = checkedInputs(slug, needs, inputs)
    if (needs === 'embeddings') {
      const answer = { ...(await embed(call, request)), id: call.requestId }
      return { ...answer, ...(await creditsAfter(call)) }
    }
    return answerChat(call, { ...request, stream })
  })
  const { hints } = incoming
  const tip = hints.length > 0 ? { _tip: hints.join(' ') } : {}
  return result === answered ? answered : answer(200, { ...result, ...tip })
}

/**
 * The same for one that a worker answers later: it is judged before it is taken, and its tokens count as they are
 * estimated now.
 */
export async function checkForLater(
  { context, caller, response, body }: RunIncoming,
  needs: Inference,
  inputs: Record<string, unknown>,
): Promise<void> {
  const request = checkedInputs(body.model, needs, inputs)
  const signal = goneSignal(response)
  if (needs === 'chat') await checkPrompt({ context, signal }, request.messages)
  else await checkInput({ context, signal }, request.input)
  const use = { family: response.locals.family, model: context.catalogue.find(body.model)?.namespace }
  await takeTokens(context, { holder: holderOf(caller), use, response }, () =>
    needs === 'chat' ? estimateChat(request) : estimateEmbeddings(request),
  )
}

/** The most tokens that it may come to. Throws INVALID_PARAMETER. */
export function mostForLater(
  model: ModelDescription,
  needs: Inference,
  inputs: Record<string, unknown>,
): TokenEstimate {
  const request = checkedInputs(model.namespace, needs, inputs)
  return needs === 'chat' ? mostTokens(limitAnswer(model, request)) : guessEmbeddings(request)
}

/** Throws INVALID_PARAMETER. */
function checkedInputs(model: string, needs: Inference, inputs: Record<string, unknown>): Request {
  return checkShape(shapes[needs], { ...inputs, model }, {}) as Request
}

const shapes = { chat: createChatCompletion, embeddings: createEmbeddings }

type Request = ChatRequest & Parameters<typeof embed>[1]
type Inference = 'chat' | 'embeddings'
type RunIncoming = Incoming<typeof endpoints.run>
