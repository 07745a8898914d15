import { dirname, isAbsolute, resolve } from 'node:path'
import type { z } from 'zod'
import { type ProviderSettings, partnerKinds, providerSettings } from './provider-settings.ts'
import { inputSchema, type JsonSchema, outputSchema, withTitles } from './schema.ts'
import { statedModel } from './stated-model.ts'

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
  return finish(file, parse(statedModel, { ...traits, ...schemas }), { kind: 'module', file })
}

/** Describes what a `.json` or `.yaml` file of the models folder says: a model that runs elsewhere. Throws as above. */
export function describeSettings(file: string, stated: unknown): ModelDescription {
  const { provider, ...rest } = parse(statedModel.extend({ provider: providerSettings }), stated)
  if (provider.kind !== 'command') return finish(file, rest, provider)
  const cwd = resolve(dirname(file), provider.cwd ?? '.')
  return finish(file, rest, { ...provider, command: located(provider.command, cwd), cwd })
}

function finish(
  file: string,
  traits: z.output<typeof statedModel>,
  provider: ModelProvider,
): ModelDescription {
  const { input_schema, output_schema, name, vendor, service, ...rest } = traits
  const partner = partnerKinds.has(provider.kind)
  if (input_schema === undefined && provider.kind !== 'cog') {
    throw new Error('input_schema: is required, a JSON Schema with type: "object"')
  }
  if (partner && service?.type === 'native') {
    throw new Error(`service.type: a model of the kind "${provider.kind}" is a partner's`)
  }
  return {
    ...rest,
    file,
    name: name ?? rest.namespace,
    vendor,
    service: {
      type: partner ? 'partner' : (service?.type ?? 'native'),
      inference_party: service?.inference_party ?? (partner ? provider.kind : 'millrace'),
    },
    input_schema: withTitles(input_schema ?? { type: 'object' }, 'Input'),
    output_schema: output_schema ? withTitles(output_schema, 'Output') : {},
    statesInput: input_schema !== undefined,
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

/** A model as the service knows it: plain JSON, made without running the model in this process. */
export interface ModelDescription
  extends Omit<
    z.output<typeof statedModel>,
    'name' | 'service' | 'input_schema' | 'output_schema' | 'vendor'
  > {
  /** Where it is described. */
  file: string
  name: string
  vendor: z.output<typeof statedModel>['vendor'] | undefined
  service: { type: 'native' | 'partner'; inference_party: string }
  input_schema: JsonSchema
  /** `{}` where the model does not say. */
  output_schema: JsonSchema
  /** Where it does not, its host is asked for the schema. */
  statesInput: boolean
  provider: ModelProvider
}

/** Where a model runs, with everything its provider needs to start it. */
export type ModelProvider =
  | { kind: 'module'; file: string }
  | (Extract<ProviderSettings, { kind: 'command' }> & { cwd: string })
  | Exclude<ProviderSettings, { kind: 'command' }>

/** Seconds; defaults and the most a request may ask for. */
export type Timeouts = ModelDescription['timeouts']
