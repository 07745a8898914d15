import type { Database } from '@millrace/database/connect'
import { fromTypeId } from '@millrace/database/ids'
import { inferenceRunOf } from '@millrace/inference/inference-run'
import { givenItems, itemPlace } from '@millrace/inference/responses/given-items'
import type { ResponseItem, ResponsesRequest } from '@millrace/inference/responses/request'
import type { ResponseObject } from '@millrace/inference/responses/response'
import { findPrediction } from '@millrace/lifecycle/find'
import type { PredictionRow } from '@millrace/lifecycle/present'
import { responseOf } from './background-response.ts'
import { findAnswer, findChain, mostTurns, type StoredAnswer } from './stored-answers.ts'

/** An account's response by its public id, in whichever way it is kept. Malformed, unknown and foreign are all undefined. */
export async function findTurn(db: Database, accountId: string, publicId: string): Promise<Turn | undefined> {
  const id = fromTypeId('resp', publicId)
  if (id === undefined) return undefined
  const stored = await findAnswer(db, accountId, id)
  if (stored) return stored.surface === 'responses' ? turnOf(stored) : undefined
  return findBackground(db, accountId, id)
}

/**
 * What was said in a response and in all that it goes on from, oldest first; undefined where one of them is not there
 * (any more), where there are too many, and where one has not ended.
 */
export async function itemsUntil(
  db: Database,
  accountId: string,
  publicId: string,
): Promise<ResponseItem[] | undefined> {
  const turns: Turn[] = []
  let next: string | undefined = fromTypeId('resp', publicId)
  if (next === undefined) return undefined
  while (next !== undefined) {
    const chain: StoredAnswer[] = await findChain(db, accountId, next)
    const background: Turn | undefined =
      chain.length === 0 ? await findBackground(db, accountId, next) : undefined
    const found: Turn[] = background ? [background] : chain.map(turnOf)
    const first: Turn | undefined = found[0]
    if (!first || chain.some(({ surface }) => surface !== 'responses')) return undefined
    turns.unshift(...found)
    if (turns.length > mostTurns) return undefined
    next = first.previousId
  }
  if (turns.some(({ response }) => !hasEnded(response))) return undefined
  return turns.flatMap(({ request, response }) => [
    ...givenItems(request, response.id),
    ...(response.output as unknown as ResponseItem[]),
  ])
}

/** Those of the items that are stored, by their ids. */
export async function findItems(
  db: Database,
  accountId: string,
  ids: readonly string[],
): Promise<Map<string, ResponseItem>> {
  const found = new Map<string, ResponseItem>()
  const turns = new Map<string, Turn | undefined>()
  for (const id of ids) {
    const place = itemPlace(id)
    if (!place) continue
    const { responseId, of, index } = place
    if (!turns.has(responseId)) turns.set(responseId, await findTurn(db, accountId, responseId))
    const turn = turns.get(responseId)
    if (!turn) continue
    const items: readonly unknown[] =
      of === 'input' ? givenItems(turn.request, responseId) : turn.response.output
    const item = items[index] as ResponseItem | undefined
    if (item?.id === id) found.set(id, item)
  }
  return found
}

/** Whether nothing more comes of it. */
export function hasEnded({ status }: ResponseObject): boolean {
  return status !== 'queued' && status !== 'in_progress'
}

async function findBackground(db: Database, accountId: string, id: string): Promise<Turn | undefined> {
  const row = await findPrediction(db, accountId, id)
  if (!row || inferenceRunOf(row.tags) !== 'responses' || row.expired_at !== null) return undefined
  const request = row.input as ResponsesRequest
  const previousId = fromTypeId('resp', request.previous_response_id ?? '')
  return { id, request, response: responseOf(row), previousId, row }
}

function turnOf({ id, request, answer, previous_id: previousId }: StoredAnswer): Turn {
  return {
    id,
    request: request as ResponsesRequest,
    response: answer as unknown as ResponseObject,
    previousId: previousId ?? undefined,
    row: undefined,
  }
}

/** A response that is kept, with what it answers. */
export interface Turn {
  /** Its uuid. */
  id: string
  request: ResponsesRequest
  response: ResponseObject
  previousId: string | undefined
  /** The prediction that makes it in the background. */
  row: PredictionRow | undefined
}
