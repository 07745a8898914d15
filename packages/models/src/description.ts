import { dirname, isAbsolute, resolve } from 'node:path'
import type { z } from 'zod'
import { isKept } from './config.ts'
import { DescriptionFault } from './description-fault.ts'
import { isPartner, type ProviderSettings, providerSettings } from './provider-settings.ts'
import { inputSchema, type JsonSchema, outputSchema, withTitles } from './schema.ts'
import { statedModel } from './stated-model.ts'
import { pricingFault } from './stated-pricing.ts'
import { referringParts, variablesIn } from './variables.ts'
import { versionIdOf } from './version-id.ts'
import { writtenSecrets } from './written-secrets.ts'

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
  const { provider, ...rest } = parse(settled, stated)
  if (provider.kind !== 'command') return finish(file, rest, provider)
  const cwd = resolve(dirname(file), provider.cwd ?? '.')
  return finish(file, rest, { ...provider, command: located(provider.command, cwd), cwd })
}

/** A misspelt field of a file of data would do nothing and say nothing. */
const settled = statedModel.extend({ provider: providerSettings }).strict()

function finish(
  file: string,
  traits: z.output<typeof statedModel>,
  provider: ModelProvider,
): ModelDescription {
  const { input_schema, output_schema, name, vendor, service, ...rest } = traits
  const partner = isPartner(provider)
  const predicts = rest.apis.includes('predictions')
  if (input_schema === undefined && predicts && provider.kind !== 'cog') {
    throw fault(['input_schema'], 'is required, a JSON Schema with type: "object"')
  }
  if (provider.kind === 'openai' && provider.base_url === undefined && provider.hosts === undefined) {
    throw fault(['provider', 'base_url'], 'is required, or hosts, where each has its own')
  }
  const mispriced = rest.pricing && input_schema && pricingFault(rest.pricing, input_schema)
  if (mispriced) throw fault(['pricing', ...mispriced.path.split('.')], mispriced.message)
  if (partner && service?.type === 'native') {
    throw fault(['service', 'type'], `what is sent to this host leaves the installation: it is a partner's`)
  }
  const secret = variablesIn(referringParts(provider)).find(({ name }) => isKept(name))
  if (secret) {
    throw fault(['provider', ...secret.path], `${secret.name} is the service's own, and no model may have it`)
  }
  const written = writtenSecrets(provider)
  if (written.length > 0) throw new DescriptionFault(written)
  const description = {
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
    statesInput: input_schema !== undefined || !predicts,
    provider,
  }
  return { ...description, versionId: versionIdOf(description, []) }
}

function fault(path: readonly PropertyKey[], message: string): DescriptionFault {
  return new DescriptionFault([{ path, message }])
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
  throw new DescriptionFault(
    parsed.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => ({ path: [...issue.path, key], message: 'is not a field' }))
        : [{ path: issue.path, message: wordsOf(issue) }],
    ),
  )
}

function wordsOf({ code, message }: z.core.$ZodIssue): string {
  return code === 'invalid_type' && message.endsWith('received undefined') ? 'is required' : message
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
  /** Where it does not, its host is asked for the schema; until that is known there is nothing to check an input by. */
  statesInput: boolean
  provider: ModelProvider
  /** Of this state of the model: no other has it, and on every machine it is the same. */
  versionId: string
}

/** Where a model runs, with everything its provider needs to start it. */
export type ModelProvider =
  /** `source` is the text of the file as it was described: it may have changed since. */
  | { kind: 'module'; file: string; source?: string | undefined }
  | (Extract<ProviderSettings, { kind: 'command' }> & { cwd: string })
  | Exclude<ProviderSettings, { kind: 'command' }>
