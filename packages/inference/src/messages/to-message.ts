import { isRecord } from '@millrace/models/is-record'
import { chunkOf } from '../answer/chunk-of.ts'
import type { ChatCompletion } from '../chat.ts'
import type { Message, MessageBlock, MessageEvent } from './message.ts'
import { blankMessage, type MessageMeta, MessageTeller } from './message-teller.ts'

/**
 * A whole answer as a message: what its stream adds up to. A call's arguments that are no JSON object stay as they are,
 * as `{unparsed_arguments: …}`.
 */
export function toMessage(completion: ChatCompletion, meta: MessageMeta): Message {
  const teller = new MessageTeller(meta)
  const message = blankMessage(meta)
  let json = ''
  for (const event of [...teller.read(chunkOf(completion)), ...teller.end()]) {
    if (event.type === 'content_block_start') {
      message.content.push(event.content_block)
      json = ''
    } else if (event.type === 'content_block_delta') json += addTo(message.content.at(-1), event)
    else if (event.type === 'content_block_stop') finish(message.content.at(-1), json)
    else if (event.type === 'message_delta') Object.assign(message, event.delta, { usage: event.usage })
  }
  return message
}

/** Gives what of the arguments came. */
function addTo(
  block: MessageBlock | undefined,
  { delta }: MessageEvent & { type: 'content_block_delta' },
): string {
  if (delta.type === 'input_json_delta') return delta.partial_json
  if (block?.type === 'text' && delta.type === 'text_delta') block.text += delta.text
  if (block?.type === 'thinking' && delta.type === 'thinking_delta') block.thinking += delta.thinking
  return ''
}

function finish(block: MessageBlock | undefined, json: string): void {
  if (block?.type === 'tool_use') block.input = inputOf(json)
}

function inputOf(json: string): Record<string, unknown> {
  if (json.trim() === '') return {}
  try {
    const input: unknown = JSON.parse(json)
    if (isRecord(input)) return input
  } catch {
    // The model wrote no JSON: the caller sees what it wrote.
  }
  return { unparsed_arguments: json }
}
