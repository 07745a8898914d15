import { dirname, isAbsolute, resolve } from 'node:path'
import { z } from 'zod'
import { modelTypes } from './model-types.ts'
import { inputSchema, type JsonSchema, outputSchema, withTitles } from './schema.ts'

/** Describes what a model's file exports by default. Throws an error that tells the file's author what to change. */
export function describeExport(file: string, exported: unknown): ModelDescription {
  if (typeof exported !== 'object' || exported === null) {
    throw new Error(
      'The file has no default export that is a model: export default { namespace, type, input_schema, run }',
    )
  }
  const { input, output, run, setup, ...traits }: Record<string, unknown> = { ...exported }
  if (typeof run !== 'function') {
    throw new Error('run: must be a function')
  }
  if (setup !== undefined && typeof setup !== 'function') {
    throw new Error('setup: must be a function')
  }
  const schemas = {
    ...(isZod(input) ? { input_schema: inputSchema(input) } : {}),
    ...(isZod(output) ? { output_schema: outputSchema(output) } : {}),
  }
  return finish(parse(stated, { ...traits, ...schemas }), { kind: 'module', file })
}

/** Describes a `.json` file of the models folder: a model that runs elsewhere. */
export function describeJson(file: string, text: string): ModelDescription {
  const { provider, ...rest } = parse(stated.extend({ provider: commandStated }), JSON.parse(text))
  const cwd = resolve(dirname(file), provider.cwd ?? '.')
  return finish(rest, {
    kind: 'command',
    file,
    command: located(provider.command, cwd),
    env: provider.env,
    cwd,
  })
}

function finish(traits: z.output<typeof stated>, provider: ModelProvider): ModelDescription {
  const { input_schema, output_schema, name, ...rest } = traits
  return {
    ...rest,
    name: name ?? rest.namespace,
    input_schema: withTitles(input_schema, 'Input'),
    output_schema: output_schema ? withTitles(output_schema, 'Output') : {},
    provider,
  }
}

/** A program named by a relative path with a slash is beside the description; a bare name is looked up in PATH. */
function located(command: string[], cwd: string): string[] {
  const [program = '', ...parameters] = command
  return program.includes('/') && !isAbsolute(program) ? [resolve(cwd, program), ...parameters] : command
}

function parse<T extends z.ZodType>(type: T, value: unknown): z.output<T> {
  const parsed = type.safeParse(value)
  if (parsed.success) {
    return parsed.data
  }
  throw new Error(
    parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'model'}: ${message}`).join('; '),
  )
}

function isZod(value: unknown): value is z.ZodType {
  return typeof value === 'object' && value !== null && '_zod' in value
}

const seconds = z
  .number()
  .positive()
  .max(7 * 24 * 3600)

const objectSchema = z
  .record(z.string(), z.unknown())
  .refine((schema) => schema.type === 'object', 'must be a JSON Schema with type: "object"')

const stated = z.object({
  namespace: z
    .string()
    .max(128)
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/,
      'letters, digits, ". _ -", parts parted by "/"',
    ),
  name: z.string().min(1).max(128).optional(),
  type: z.enum(modelTypes),
  description: z.string().max(4000).default(''),
  capabilities: z.array(z.string()).default([]),
  input_schema: objectSchema,
  output_schema: z.record(z.string(), z.unknown()).optional(),
  pool: z
    .string()
    .regex(/^[a-z0-9-]+$/, 'lower-case letters, digits, "-"')
    .default('default'),
  concurrency: z.int().min(1).max(1000).default(1),
  timeouts: z
    .object({
      start: seconds.default(600),
      maxStart: seconds.default(3600),
      run: seconds.default(600),
      maxRun: seconds.default(3600),
    })
    .prefault({}),
  idleSeconds: z.number().min(0).default(300),
  environment: z.array(z.string()).default([]),
  testOnly: z.boolean().default(false),
})

const commandStated = z.strictObject({
  kind: z.literal('command'),
  command: z.array(z.string()).min(1),
  env: z.record(z.string(), z.string()).default({}),
  cwd: z.string().optional(),
})

/** A model as the service knows it: plain JSON, made without running the model in this process. */
export interface ModelDescription {
  namespace: string
  name: string
  type: (typeof modelTypes)[number]
  description: string
  capabilities: string[]
  input_schema: JsonSchema
  /** `{}` where the model does not say. */
  output_schema: JsonSchema
  pool: string
  concurrency: number
  timeouts: Timeouts
  idleSeconds: number
  environment: string[]
  testOnly: boolean
  provider: ModelProvider
}

/** Where a model runs, with everything its provider needs to start it. */
export type ModelProvider =
  | { kind: 'module'; file: string }
  | { kind: 'command'; file: string; command: string[]; env: Record<string, string>; cwd: string }

/** Seconds; defaults and the most a request may ask for. */
export interface Timeouts {
  start: number
  maxStart: number
  run: number
  maxRun: number
}
