import { z } from 'zod'
import { isRecord } from './is-record.ts'

/** A field that holds a file. Clients send a URL, a data URL or an uploaded file's URL; the model sees a local path. */
export function fileInput(description: string) {
  return z.string().min(1).describe(description).meta({ format: 'uri' })
}

/** A file in an output: clients see a URL. */
export function fileOutput(description: string) {
  return z.string().describe(description).meta({ format: 'uri' })
}

/** The JSON Schema of a model's input, as clients see it: each field with its title and its place in a form. */
export function inputSchema(input: z.ZodType): JsonSchema {
  return withTitles(toJsonSchema(input, 'input'), 'Input')
}

/** The JSON Schema of a model's output. */
export function outputSchema(output: z.ZodType): JsonSchema {
  return withTitles(toJsonSchema(output, 'output'), 'Output')
}

/** Adds what forms are made of, `title` and `x-order`, where a schema does not say them itself. */
export function withTitles(schema: JsonSchema, title: string): JsonSchema {
  const properties = schema.properties
  if (!isRecord(properties)) {
    return { title, ...schema }
  }
  const ordered = Object.entries(properties).map(([name, property], order) => [
    name,
    isRecord(property)
      ? { title: titleOf(name), ...property, 'x-order': property['x-order'] ?? order }
      : property,
  ])
  return { title, ...schema, properties: Object.fromEntries(ordered) }
}

function toJsonSchema(type: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(type, {
    io,
    override: ({ zodSchema }) => {
      // The worker puts a local path where `format: uri` is, and a path is no URL.
      if (io === 'input' && 'format' in zodSchema._zod.def && zodSchema._zod.def.format === 'url') {
        throw new Error('z.url() in an input: use fileInput() for a file, z.string() for an address')
      }
    },
  })
  return schema
}

function titleOf(name: string): string {
  const words = name.replaceAll(/[_-]+/g, ' ').trim()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** A JSON Schema (2020-12) object. */
export type JsonSchema = Record<string, unknown>
