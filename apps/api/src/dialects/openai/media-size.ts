import { fieldSchemaOf } from '@millrace/models/input-fields'
import { badParameter } from '../../bad-parameter.ts'

/**
 * A size, such as `1536x1024`, in the fields of a model that says it otherwise: width and height, or the ratio of the
 * two. `undefined` where the model has neither, or `auto` was said. Throws INVALID_PARAMETER.
 */
export function fieldsOfSize(
  schema: Record<string, unknown>,
  size: string,
): Record<string, unknown> | undefined {
  const ratio = fieldSchemaOf(schema, 'aspect_ratio')
  const hasSides = fieldSchemaOf(schema, 'width') && fieldSchemaOf(schema, 'height')
  if (size === 'auto' || (!hasSides && !ratio)) return undefined
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(size) ?? []
  if (!Number(width) || !Number(height)) throw badParameter('size', 'must be WIDTHxHEIGHT, such as 1024x1024')
  const sides = { width: Number(width), height: Number(height) }
  return hasSides ? sides : { aspect_ratio: ratioOf(sides, ratio?.enum) }
}

/** The ratio that the model has and that is as good as the one asked for, or that one itself where it has any. */
function ratioOf({ width, height }: Sides, choice: unknown): string {
  if (!Array.isArray(choice)) {
    const divisor = commonDivisor(width, height)
    return `${width / divisor}:${height / divisor}`
  }
  const ratios = choice.filter((one): one is string => /^\d+:\d+$/.test(String(one)))
  const [nearest] = ratios.toSorted((one, other) => distance(one) - distance(other))
  if (nearest !== undefined && distance(nearest) < nearEnough) return nearest
  throw badParameter('size', `must have one of these ratios: ${ratios.join(', ')}`)

  function distance(ratio: string): number {
    const [across = 1, down = 1] = ratio.split(':').map(Number)
    return Math.abs(Math.log((across * height) / (down * width)))
  }
}

/** 1792x1024 means 16:9, which it is not quite. */
const nearEnough = 0.03

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b)
}

interface Sides {
  width: number
  height: number
}
