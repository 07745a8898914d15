import type { Unit } from '@millrace/contract/pricing'
import { costOf, type Price, type Usage } from './price.ts'

/**
 * What is held for a request before it runs, in micros: what it costs if it uses all that its input asks for. Throws
 * FormulaFault where a formula has no value for it.
 */
export function estimateOf(price: Price, about: Asked): number {
  return Math.max(0, costOf(price, estimatedUsage(price, about)) ?? 0)
}

/** How much a request may use: as its input says, else as its price says, else as this table says. */
export function estimatedUsage(price: Price, about: Asked): Usage {
  if (price.unit === 'token') {
    const { input, output } = about.tokens ?? { input: tokensOf(about), output: answerTokens(price, about) }
    return { input_tokens: input, output_tokens: output }
  }
  return { [price.unit]: estimates[price.unit](about, price.estimate) }
}

const one = () => 1
const runTime: Estimate = ({ timeouts }, stated) => stated ?? timeouts.run
const pictures: Estimate = ({ input }, stated) => countIn(input) ?? stated ?? 1

const estimates: Record<Exclude<Unit, 'token'>, Estimate> = {
  prediction: one,
  request: one,
  email: one,
  second: runTime,
  computing_second: runTime,
  gpu: runTime,
  minute: ({ timeouts }, stated) => stated ?? timeouts.run / 60,
  image: pictures,
  video: pictures,
  image_megapixel: ({ input }, stated) => {
    const each = megapixelsIn(input)
    return each === undefined ? (stated ?? 4) : each * (countIn(input) ?? 1)
  },
  audio_second: (about, stated) => durationIn(about.input) ?? stated ?? 60,
  video_second: (about, stated) => durationIn(about.input) ?? stated ?? 60,
  character: ({ input, model }) => {
    const texts = textsIn(input, model.input_schema)
    return texts.reduce((sum, text) => sum + [...text].length, 0)
  },
  page: ({ input }, stated) => numberIn(input, ['pages', 'page_count']) ?? stated ?? 10,
}

/** A token is rarely less than two bytes of text. */
const tokensOf = ({ input }: Asked): number => Math.ceil(Buffer.byteLength(JSON.stringify(input)) / 2)

function answerTokens({ estimate }: Price, { input, model }: Asked): number {
  const asked = numberIn(input, [
    'max_output_tokens',
    'max_completion_tokens',
    'max_tokens',
    'max_new_tokens',
  ])
  return asked ?? estimate ?? model.max_output_tokens ?? 4096
}

const countIn = (input: Input) => numberIn(input, ['num_outputs', 'num_images', 'number_of_images', 'n'])

function durationIn(input: Input): number | undefined {
  const each = numberIn(input, ['duration', 'duration_seconds', 'seconds', 'length_seconds'])
  return each === undefined ? undefined : each * (countIn(input) ?? 1)
}

function megapixelsIn(input: Input): number | undefined {
  const [, across, down] =
    /^(\d{1,6})\s*[x*]\s*(\d{1,6})$/.exec(typeof input.size === 'string' ? input.size : '') ?? []
  const width = numberIn(input, ['width']) ?? Number(across)
  const height = numberIn(input, ['height']) ?? Number(down)
  return width > 0 && height > 0 ? (width * height) / 1_000_000 : undefined
}

/** The first of these fields that holds a number above nothing; also as text, which some clients send. */
function numberIn(input: Input, names: readonly string[]): number | undefined {
  const found = names.map((name) => input[name]).find((value) => value !== undefined && value !== null)
  const value = typeof found === 'string' && /^\d+(\.\d+)?$/.test(found) ? Number(found) : found
  return typeof value === 'number' && value > 0 && Number.isFinite(value) ? value : undefined
}

/** The texts of an input that are neither files nor choices nor secrets. */
function textsIn(input: Input, schema: Schema | undefined): string[] {
  const properties = (schema?.properties ?? {}) as Record<
    string,
    { format?: unknown; enum?: unknown } | undefined
  >
  return Object.entries(input).flatMap(([name, value]) => {
    const { format, enum: choices } = properties[name] ?? {}
    return typeof value === 'string' && format === undefined && choices === undefined ? [value] : []
  })
}

type Input = Readonly<Record<string, unknown>>
type Schema = Readonly<Record<string, unknown>>
type Estimate = (about: Asked, stated: number | undefined) => number

/** What is asked of a model. */
export interface Asked {
  input: Input
  /** Seconds. */
  timeouts: { run: number }
  model: { input_schema?: Schema | undefined; max_output_tokens?: number | undefined }
  /** The most it may come to, where whoever asks knows better than the fields of its input tell. */
  tokens?: { input: number; output: number } | undefined
}
