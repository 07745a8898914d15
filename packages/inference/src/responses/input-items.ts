import { isRecord } from '@millrace/models/is-record'
import type { ChatMessage } from '../chat.ts'
import type { Conversation } from '../conversation.ts'
import { asRecord, asText, badParameter, inWords } from '../read-fields.ts'
import { refusalOf, textOf, toChatContent } from './content-parts.ts'
import type { ResponseItem, ResponsesRequest } from './request.ts'

/** Adds the items of the turns before and then those of the input, with what these refer to in their place. */
export function addItems(conversation: Conversation, input: unknown, { previous, stored }: Known): void {
  if (!Array.isArray(input)) throw badParameter('input', 'input must be a string or a list of items.')
  const there = new Set<unknown>()
  const add = (item: Record<string, unknown>, path: string) => {
    if (item.id !== undefined) there.add(item.id)
    addItem(conversation, item, path)
  }
  for (const [at, item] of previous.entries()) add(item, `previous[${at}]`)
  for (const [at, given] of input.entries()) {
    const path = `input[${at}]`
    const item = asRecord(given, path)
    if (!isReference(item)) add(item, path)
    // What the turns before hold already is not said twice.
    else if (!there.has(item.id)) add(referred(item.id, stored, path), path)
  }
}

/** The ids that the input refers to, for whoever has stored them. */
export function referredIds({ input }: ResponsesRequest): string[] {
  if (!Array.isArray(input)) return []
  return input.filter((item) => isRecord(item) && isReference(item)).flatMap(({ id }) => (id ? [id] : []))
}

interface Known {
  previous: ResponseItem[]
  stored: ReadonlyMap<string, ResponseItem>
}

/** OpenAI's client may leave the type of a reference out, where there is nothing but an id. */
function isReference(item: Record<string, unknown>): boolean {
  const type = item.type ?? undefined
  return type === 'item_reference' || (type === undefined && 'id' in item && !('role' in item))
}

function referred(id: unknown, stored: ReadonlyMap<string, ResponseItem>, path: string): ResponseItem {
  const item = stored.get(asText(id, `${path}.id`))
  if (item) return item
  throw badParameter(
    'input',
    `${path} refers to the item ${inWords(id)}, which is not stored. Give the item itself.`,
  )
}

function addItem(conversation: Conversation, item: Record<string, unknown>, path: string): void {
  const type = item.type ?? 'message'
  if (type === 'message') addMessage(conversation, item, path)
  else if (type === 'reasoning') conversation.addReasoning(reasoningOf(item))
  else if (type === 'function_call') addCall(conversation, item, path)
  else if (type === 'function_call_output') addOutput(conversation, item, path)
  else throw badParameter('input', `${path} is of the type ${inWords(type)}, which is not served here.`)
}

function addCall(conversation: Conversation, item: Record<string, unknown>, path: string): void {
  conversation.addCall({
    id: asText(item.call_id, `${path}.call_id`),
    name: asText(item.name, `${path}.name`),
    arguments: asText(item.arguments ?? '', `${path}.arguments`),
  })
}

function addOutput(conversation: Conversation, item: Record<string, unknown>, path: string): void {
  const output = item.output ?? ''
  const result = typeof output === 'string' ? output : toChatContent(output, `${path}.output`)
  conversation.addResult(asText(item.call_id, `${path}.call_id`), result)
}

const roles = ['user', 'assistant', 'system', 'developer'] as const satisfies ChatMessage['role'][]

function addMessage(conversation: Conversation, item: Record<string, unknown>, path: string): void {
  const role = roles.find((one) => one === item.role)
  if (!role) throw badParameter('input', `${path}.role must be one of ${roles.join(', ')}.`)
  const content = toChatContent(item.content, `${path}.content`)
  if (role !== 'assistant') {
    conversation.add({ role, content })
    return
  }
  const refusal = refusalOf(content)
  const text = textOf(content)
  conversation.addAnswer({ content: refusal && text === '' ? null : text, ...(refusal && { refusal }) })
}

/** The reasoning itself where it was told, or else its summary; what is encrypted only its maker can read. */
function reasoningOf({ content, summary }: Record<string, unknown>): string {
  const told = Array.isArray(content) && content.length > 0 ? content : summary
  if (!Array.isArray(told)) return ''
  return told
    .flatMap((part) => (isRecord(part) && typeof part.text === 'string' ? [part.text] : []))
    .join('\n\n')
}
