import { isRecord } from '@millrace/models/is-record'
import type { ChatTool } from '../chat.ts'
import { asList, asRecord, asText, badParameter, inWords, withoutAbsent } from '../read-fields.ts'

/** Tools as chat has them, from the flat ones of Responses or chat's own. Throws for tools that only OpenAI hosts. */
export function toChatTools(tools: unknown): ChatTool[] {
  return asList(tools ?? [], 'tools').map((given, at) => {
    const tool = asRecord(given, `tools[${at}]`)
    if (tool.type !== 'function') {
      const type = inWords(tool.type)
      throw badParameter(
        'tools',
        `Tools of the type ${type} are not served here: give functions, and run them yourself.`,
      )
    }
    if (isRecord(tool.function)) {
      asText(tool.function.name, `tools[${at}].function.name`)
      return tool as unknown as ChatTool
    }
    const { name, description, parameters, strict } = tool
    const named = { name: asText(name, `tools[${at}].name`) }
    return {
      type: 'function',
      function: { ...named, ...withoutAbsent({ description, parameters, strict }) },
    } as ChatTool
  })
}

/** Tools as Responses has them. */
export function toFlatTools(tools: ChatTool[]): Record<string, unknown>[] {
  return tools.map(({ type, function: { name, description, parameters, strict } }) => ({
    type,
    name,
    description: description ?? null,
    parameters: parameters ?? null,
    strict: strict ?? null,
  }))
}

/**
 * Chat's `tool_choice`, from either way of naming a function. A choice among some tools leaves only those, which every
 * host understands.
 */
export function toChatToolChoice(tools: ChatTool[], choice: unknown): { tools: ChatTool[]; choice: unknown } {
  if (!isRecord(choice)) return { tools, choice: choice ?? undefined }
  if (choice.type === 'allowed_tools') {
    const { tools: allowed, mode } = isRecord(choice.allowed_tools) ? choice.allowed_tools : choice
    const names = new Set(asList(allowed, 'tool_choice.tools').map(nameOf))
    return { tools: tools.filter((tool) => names.has(tool.function.name)), choice: mode ?? 'auto' }
  }
  if (choice.type !== 'function') {
    throw badParameter('tool_choice', `Tools of the type ${inWords(choice.type)} are not served here.`)
  }
  return {
    tools,
    choice: { type: 'function', function: { name: asText(nameOf(choice), 'tool_choice.name') } },
  }
}

/** `tool_choice` as Responses has it. */
export function toFlatToolChoice(choice: unknown): unknown {
  return isRecord(choice) && choice.type === 'function' ? { type: 'function', name: nameOf(choice) } : choice
}

function nameOf(choice: unknown): unknown {
  if (!isRecord(choice)) return undefined
  return isRecord(choice.function) ? choice.function.name : choice.name
}
