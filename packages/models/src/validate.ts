import { type ErrorObject, type ValidateFunction, Ajv2020 as Validator } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { copyOf } from './copy-of.ts'
import type { ModelDescription } from './description.ts'
import { beyond, type Limit, mustBe, mustBeOneOf } from './fault-words.ts'
import { isRecord } from './is-record.ts'

/** Checks inputs of one model: every wrong field is named, defaults are applied on a copy. Compile once per model. */
export function createValidator({ input_schema }: Pick<ModelDescription, 'input_schema'>): InputValidator {
  const validate = compile(input_schema, { useDefaults: true, isFile: isUrl })
  return (input) => {
    const copy = copyOf(input)
    if (validate(copy) && isRecord(copy)) {
      return { ok: true, input: copy }
    }
    return { ok: false, fields: fieldErrors(validate.errors ?? []) }
  }
}

/** Checks what a model returned. Files must be strings by then. An empty schema accepts everything. */
export function createOutputValidator({
  output_schema,
}: Pick<ModelDescription, 'output_schema'>): OutputValidator {
  const validate = compile(output_schema, { useDefaults: false, isFile })
  return (output) => (validate(output) ? [] : fieldErrors(validate.errors ?? []))
}

/** In an instance of its own: what one model calls its schemas (`$id`) is no other model's business. */
function compile(schema: Record<string, unknown>, { useDefaults, isFile }: Options): ValidateFunction {
  metaschema.validateSchema(schema, true)
  // Schemas come from models: words unknown to us (`x-order`) are theirs to use.
  const ajv = new Validator({ useDefaults, allErrors: true, strict: false, validateSchema: false })
  formats.default(ajv)
  ajv.addFormat('uri', { type: 'string', validate: isFile })
  ajv.addFormat('password', true)
  return ajv.compile(schema)
}

/** Compiling the schema of schemas takes longer than all of the models' own together, so there is one. */
const metaschema = new Validator({ allErrors: true, strict: false })

// `format: uri` marks a file. Only its start is looked at: a data URL may be megabytes long.

/** In an input: which URLs may be used is not for the model to say, and has an error of its own. */
function isUrl(value: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(value.slice(0, 32))
}

function isFile(value: string): boolean {
  return /^(https?:\/\/.|data:|millrace-file:.)/i.test(value.slice(0, 32))
}

function fieldErrors(errors: ErrorObject[]): FieldError[] {
  const fields = errors
    .filter(({ keyword }) => keyword !== 'if')
    .map((error) => ({ path: pathOf(error), message: messageOf(error) }))
  return [...new Map(fields.map((field) => [`${field.path}\n${field.message}`, field])).values()]
}

function pathOf({ instancePath, params }: ErrorObject): string {
  const parts = instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  const named = params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty
  return [...parts, ...(typeof named === 'string' ? [named] : [])].join('.')
}

function messageOf({ keyword, params, message }: ErrorObject): string {
  const limit = limits[keyword]
  if (limit) return beyond({ ...limit, limit: Number(params.limit) })
  switch (keyword) {
    case 'required':
    case 'dependentRequired':
      return 'is required'
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return 'is not a field of this model'
    case 'type':
      return mustBe([params.type].flat().map(String))
    case 'enum':
      return mustBeOneOf(params.allowedValues)
    case 'const':
      return mustBeOneOf([params.allowedValue])
    case 'multipleOf':
      return `must be a multiple of ${params.multipleOf}`
    case 'format':
      return formatWords[params.format] ?? `must have the format ${params.format}`
    case 'pattern':
      return `must match the pattern ${params.pattern}`
    case 'uniqueItems':
      return 'must not have the same item twice'
    case 'propertyNames':
      return `has a field that it cannot have, ${JSON.stringify(params.propertyName)}`
    case 'oneOf':
      return 'must fit exactly one of the shapes that the model takes there'
    case 'anyOf':
      return 'must fit one of the shapes that the model takes there'
    default:
      return message ?? 'is wrong'
  }
}

const limits: Readonly<Record<string, Omit<Limit, 'limit'>>> = {
  minimum: { side: 'min', of: 'number' },
  maximum: { side: 'max', of: 'number' },
  exclusiveMinimum: { side: 'min', of: 'number', inclusive: false },
  exclusiveMaximum: { side: 'max', of: 'number', inclusive: false },
  minLength: { side: 'min', of: 'string' },
  maxLength: { side: 'max', of: 'string' },
  minItems: { side: 'min', of: 'array' },
  maxItems: { side: 'max', of: 'array' },
  minProperties: { side: 'min', of: 'object' },
  maxProperties: { side: 'max', of: 'object' },
}

const formatWords: Readonly<Record<string, string>> = {
  uri: 'must be a URL, a data URL or the URL of an uploaded file',
  email: 'must be an e-mail address',
  date: 'must be a date such as 2026-12-24',
  'date-time': 'must be a time with its zone, such as 2026-12-24T18:00:00Z',
}

/** Answers the input with defaults, or the fields that are wrong (`path` is dotted; empty for the input as a whole). */
export type InputValidator = (
  input: unknown,
) => { ok: true; input: Record<string, unknown> } | { ok: false; fields: FieldError[] }

/** Answers the fields that are wrong; none for a good output. */
export type OutputValidator = (output: unknown) => FieldError[]

/** One wrong field and what is wrong with it. */
export interface FieldError {
  path: string
  message: string
}

interface Options {
  useDefaults: boolean
  isFile: (value: string) => boolean
}
