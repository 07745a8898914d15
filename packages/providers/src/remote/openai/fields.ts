import { readFile } from 'node:fs/promises'
import { basename, extname, isAbsolute } from 'node:path'
import { anyBytes, extensionOf, typeOfName } from '@millrace/media/file-types'
import { mediaTypeOfBytes } from '@millrace/media/type-of-bytes'
import { fileFields } from '@millrace/models/file-fields'
import type { Question } from '../ask-host.ts'
import type { Call } from '../open-remote.ts'

/**
 * The fields of a request: those of the input by their names, and the host's name of the model. A model may be kinder
 * than its host and call its words `text`, or its file what it likes; they go by the host's name where that is free.
 */
export function fieldsOf({ input, description, settings }: Call<'openai'>, names: HostNames): Fields {
  const files = fileFields(description.input_schema, input).filter(({ url }) => isAbsolute(url))
  const values = { ...input }
  if (names.words !== undefined && !(names.words in values) && typeof values.text === 'string') {
    rename(values, 'text', names.words)
  }
  const [first] = files
  if (names.file !== undefined && first && !(names.file in values)) {
    rename(values, String(first.path[0]), names.file)
  }
  if (settings.model !== undefined) values.model = settings.model
  return { values, files: new Set(files.map(({ url }) => url)) }
}

/**
 * The fields as a form, with the names that OpenAI's own clients give to lists (`name[]`) and to objects
 * (`name[key]`). It is made whole first: not every host takes a form whose length it is not told.
 */
export async function formOf({ values, files }: Fields): Promise<Pick<Question, 'body' | 'headers'>> {
  const form = new FormData()
  for (const [name, value] of Object.entries(values)) await append(form, name, value, files)
  const encoded = new Response(form)
  const type = encoded.headers.get('content-type') ?? 'multipart/form-data'
  return { body: new Uint8Array(await encoded.arrayBuffer()), headers: { 'content-type': type } }
}

async function append(form: FormData, name: string, value: unknown, files: Fields['files']): Promise<void> {
  if (value === null || value === undefined) return
  if (Array.isArray(value)) {
    for (const item of value) await append(form, `${name}[]`, item, files)
  } else if (typeof value === 'object') {
    for (const [key, item] of Object.entries(value)) await append(form, `${name}[${key}]`, item, files)
  } else if (typeof value === 'string' && files.has(value)) {
    form.append(name, await filePart(value))
  } else {
    form.append(name, String(value))
  }
}

/** Hosts tell formats by the part's type or by its name's extension. */
async function filePart(path: string): Promise<File> {
  const bytes = await readFile(path)
  const type = (await mediaTypeOfBytes(bytes)) ?? typeOfName(path) ?? anyBytes
  const name = extname(path) ? basename(path) : `${basename(path)}${extensionOf(type)}`
  return new File([bytes], name, { type })
}

function rename(values: Record<string, unknown>, from: string, to: string): void {
  values[to] = values[from]
  delete values[from]
}

/** What the host calls the words and the file of a request, where it takes some. */
export interface HostNames {
  words?: string
  file?: string
}

export interface Fields {
  values: Record<string, unknown>
  /** The strings in the values that are paths of files. */
  files: ReadonlySet<string>
}
