import type { ModelDescription } from '@millrace/models/description'
import { fieldSchemaOf, fileFieldOf, takesAnyField } from '@millrace/models/input-fields'
import type { MediaApi } from '@millrace/models/served-apis'
import { ApiError, type Field } from '../../api-error.ts'
import { badParameter } from '../../bad-parameter.ts'
import { fileNames, mediaFields } from './media-fields.ts'
import { fieldsOfSize } from './media-size.ts'

/**
 * The input of a model that a media request asks for, by the fields that its schema states. `null` is as good as
 * nothing. Throws INVALID_PARAMETER for what the model has no field for, unless it says nothing.
 */
export function mediaInput(
  api: MediaApi,
  model: ModelDescription,
  asked: Readonly<Record<string, unknown>>,
): MediaInput {
  const input: Record<string, unknown> = {}
  const askedAs = new Map<string, string>()
  for (const [name, value] of Object.entries(asked)) {
    if (value === null || value === undefined || name === '__proto__') continue
    for (const [field, set] of Object.entries(fieldsFor(api, model, name, value))) {
      input[field] = fitted(set, fieldSchemaOf(model.input_schema, field))
      askedAs.set(field, name)
    }
  }
  return { input, askedAs }
}

/** Puts the address of a file where the model takes one. Throws INVALID_PARAMETER where it takes none. */
export function withFile(
  api: MediaApi,
  model: ModelDescription,
  { input, askedAs }: MediaInput,
  file: { url: string; askedAs: string },
): MediaInput {
  const field = fileFieldOf(model.input_schema, fileNames[api])
  if (!field) throw notTaken(model, file.askedAs)
  return {
    input: { ...input, [field.name]: field.isList ? [file.url] : file.url },
    askedAs: askedAs.set(field.name, file.askedAs),
  }
}

/** What is wrong with an input in the words of the request that it was made of; any other error as it is. */
export function inWordsOfRequest(error: unknown, { askedAs }: MediaInput): unknown {
  if (!(error instanceof ApiError) || !error.options.fields) return error
  if (error.id !== 'INVALID_INPUT' && error.id !== 'INVALID_FILE_URL') return error
  const fields = error.options.fields.map(({ path, message }): Field => {
    const [, field = '', ...rest] = path.split('.')
    const name = askedAs.get(field) ?? field
    return {
      path: [name, ...(askedAs.has(field) ? [] : rest)].join('.'),
      message: wordsOf(field, name, message),
    }
  })
  const [first] = fields
  const id = error.id === 'INVALID_INPUT' ? 'INVALID_PARAMETER' : error.id
  return new ApiError(id, first && `${first.path} ${first.message}.`, { ...error.options, fields })
}

/** The model's field is named where the request has another word for it. */
function wordsOf(field: string, name: string, message: string): string {
  return field === name || message === 'is required' ? message : `${message} (${field})`
}

function fieldsFor(
  api: MediaApi,
  model: ModelDescription,
  name: string,
  value: unknown,
): Record<string, unknown> {
  const { input_schema: schema } = model
  const known = mediaFields[api][name]
  const field = [name, ...(known?.names ?? [])].find((one) => fieldSchemaOf(schema, one))
  const saysNothing = Array.isArray(known?.unsaid) && known.unsaid.some((one) => sameAs(one, value))
  if (field !== undefined) return saysNothing && !isChoice(schema, field, value) ? {} : { [field]: value }
  const isSize = name === 'size' && known && typeof value === 'string'
  const sized = isSize ? fieldsOfSize(schema, value) : undefined
  if (sized) return sized
  if (saysNothing || known?.unsaid === 'anything') return {}
  if (takesAnyField(schema)) return { [name]: value }
  throw notTaken(model, name)
}

/** Whether a field may have this value, as far as it has a choice. */
function isChoice(schema: Record<string, unknown>, field: string, value: unknown): boolean {
  const choice = fieldSchemaOf(schema, field)?.enum
  return !Array.isArray(choice) || choice.includes(value)
}

function sameAs(unsaid: unknown, value: unknown): boolean {
  return unsaid === (Array.isArray(value) && value.length === 1 ? value[0] : value)
}

function notTaken({ namespace }: ModelDescription, name: string): ApiError {
  return badParameter(name, `is nothing that the model "${namespace}" takes`)
}

/** Numbers, words and flags as the schema's type has them: forms are all text, and OpenAI says some numbers in text. */
function fitted(value: unknown, schema: Record<string, unknown> | undefined): unknown {
  const type = schema?.type
  if (typeof value === 'number' && type === 'string') return String(value)
  if (typeof value !== 'string') return value
  if ((type === 'number' || type === 'integer') && /^-?\d+(\.\d+)?$/.test(value)) return Number(value)
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true'
  return value
}

/** An input, and what the request called each of its fields. */
export interface MediaInput {
  input: Record<string, unknown>
  askedAs: Map<string, string>
}
