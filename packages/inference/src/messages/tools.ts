import type { ChatTool } from '../chat.ts'
import { asList, asRecord, asText, badParameter, inWords, withoutAbsent } from '../read-fields.ts'

/** Tools as chat has them. Throws for those that Anthropic runs or describes itself. */
export function toChatTools(tools: unknown): ChatTool[] {
  return asList(tools ?? [], 'tools').map((given, at) => {
    const { type, name, description, input_schema: parameters, strict } = asRecord(given, `tools[${at}]`)
    if (type !== undefined && type !== null && type !== 'custom') {
      throw badParameter(
        'tools',
        `Tools of the type ${inWords(type)} are not served here: give your own, with a schema.`,
      )
    }
    return {
      type: 'function',
      function: {
        name: asText(name, `tools[${at}].name`),
        ...withoutAbsent({ description, strict }),
        parameters: asRecord(parameters, `tools[${at}].input_schema`),
      },
    } as ChatTool
  })
}

/** Chat's choice of tools, and whether several may be called at once. */
export function toToolChoice(choice: unknown): { tool_choice?: unknown; parallel_tool_calls?: boolean } {
  if (choice === undefined || choice === null) return {}
  const { type, name, disable_parallel_tool_use: alone } = asRecord(choice, 'tool_choice')
  const parallel = alone === true ? { parallel_tool_calls: false } : {}
  switch (type) {
    case 'auto':
    case 'none':
      return { tool_choice: type, ...parallel }
    case 'any':
      return { tool_choice: 'required', ...parallel }
    case 'tool':
      return {
        tool_choice: { type: 'function', function: { name: asText(name, 'tool_choice.name') } },
        ...parallel,
      }
    default:
      throw badParameter('tool_choice', 'tool_choice.type must be auto, any, tool or none.')
  }
}
