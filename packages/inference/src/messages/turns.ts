import { isRecord } from '@millrace/models/is-record'
import type { ContentPart } from '../chat.ts'
import type { Conversation } from '../conversation.ts'
import { asList, asRecord, asText, badParameter, inWords } from '../read-fields.ts'
import { toChatParts } from './blocks.ts'

/** Adds one turn: results of calls first, as chat demands, then what else the user says. */
export function addTurn(conversation: Conversation, turn: Record<string, unknown>, path: string): void {
  if (turn.role === 'assistant') addAnswer(conversation, turn.content, `${path}.content`)
  else if (turn.role === 'user') addQuestion(conversation, turn.content, `${path}.content`)
  else if (turn.role === 'system') {
    conversation.add({ role: 'system', content: systemText(turn.content, `${path}.content`) })
  } else throw badParameter('messages', `${path}.role must be user or assistant.`)
}

/** A system prompt as one text; empty where there is none. */
export function systemText(system: unknown, path: string): string {
  return blocksOf(system ?? '', path)
    .map(({ block, path: at }) => {
      if (block.type !== 'text') throw badParameter('system', `${at} must be a text block.`)
      return asText(block.text, `${at}.text`)
    })
    .join('\n\n')
}

function addQuestion(conversation: Conversation, content: unknown, path: string): void {
  const blocks = blocksOf(content, path)
  for (const { block, path: at } of blocks)
    if (block.type === 'tool_result') addResult(conversation, block, at)
  const parts = blocks.flatMap(({ block, path: at }) =>
    block.type === 'tool_result' ? [] : toChatParts(block, at),
  )
  if (parts.length > 0) conversation.add({ role: 'user', content: simplest(parts) })
}

/** Chat has no field for a failed call: its text says so. */
function addResult(conversation: Conversation, block: Record<string, unknown>, path: string): void {
  const id = asText(block.tool_use_id, `${path}.tool_use_id`)
  const parts = blocksOf(block.content ?? '', `${path}.content`).flatMap((inner) =>
    toChatParts(inner.block, inner.path),
  )
  conversation.addResult(
    id,
    block.is_error === true ? [{ type: 'text', text: 'The call failed.' }, ...parts] : parts,
  )
}

function addAnswer(conversation: Conversation, content: unknown, path: string): void {
  for (const { block, path: at } of joinedTexts(blocksOf(content, path))) {
    switch (block.type) {
      case 'text':
        conversation.addAnswer({ content: asText(block.text, `${at}.text`) })
        break
      case 'thinking':
        conversation.addReasoning(asText(block.thinking ?? '', `${at}.thinking`))
        break
      case 'redacted_thinking': // only its maker can read it
        break
      case 'tool_use':
        conversation.addCall({
          id: asText(block.id, `${at}.id`),
          name: asText(block.name, `${at}.name`),
          arguments: JSON.stringify(isRecord(block.input) ? block.input : {}),
        })
        break
      default:
        throw badParameter(
          'messages',
          `${at} is of the type ${inWords(block.type)}, which is not served here.`,
        )
    }
  }
}

interface Placed {
  block: Record<string, unknown>
  path: string
}

/** Texts that follow one another are one answer, not several. */
function joinedTexts(blocks: Placed[]): Placed[] {
  const joined: Placed[] = []
  for (const placed of blocks) {
    const last = joined.at(-1)
    if (last?.block.type === 'text' && placed.block.type === 'text') {
      const text =
        asText(last.block.text, `${last.path}.text`) + asText(placed.block.text, `${placed.path}.text`)
      joined[joined.length - 1] = { ...last, block: { type: 'text', text } }
    } else joined.push(placed)
  }
  return joined
}

function blocksOf(content: unknown, path: string): Placed[] {
  if (typeof content === 'string')
    return content === '' ? [] : [{ block: { type: 'text', text: content }, path }]
  return asList(content, path).map((block, at) => ({
    block: asRecord(block, `${path}[${at}]`),
    path: `${path}[${at}]`,
  }))
}

function simplest(parts: ContentPart[]): string | ContentPart[] {
  const [first] = parts
  return parts.length === 1 && first?.type === 'text' ? (first.text ?? '') : parts
}
