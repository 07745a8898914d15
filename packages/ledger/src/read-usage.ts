import { units } from '@millrace/contract/pricing'
import type { Usage } from './price.ts'

/**
 * What somebody else tells of how much was used: a model of itself, a host in its metrics, an answer of inference. What
 * is no number, is below nothing, or has a name that no price knows, is left out.
 */
export function readUsage(told: unknown): Usage {
  if (typeof told !== 'object' || told === null) return {}
  const usage: Usage = {}
  for (const [name, value] of Object.entries(told)) {
    const known = names.get(name)
    if (known !== undefined && typeof value === 'number' && value >= 0 && Number.isFinite(value))
      usage[known] = value
  }
  return usage
}

/** The names that prices know, and those that hosts have for the same. */
const names = new Map<string, keyof Usage>([
  ...units.map((unit) => [unit, unit] as const),
  ['input_tokens', 'input_tokens'],
  ['output_tokens', 'output_tokens'],
  ['prompt_tokens', 'input_tokens'],
  ['completion_tokens', 'output_tokens'],
  ['input_token_count', 'input_tokens'],
  ['output_token_count', 'output_tokens'],
  ['image_count', 'image'],
  ['video_output_duration_seconds', 'video_second'],
  ['audio_output_duration_seconds', 'audio_second'],
])
