import { readFile } from 'node:fs/promises'
import { isDataUrl, parseDataUrl } from '@millrace/media/data-url'
import { fileFields, replaceFiles } from '@millrace/models/file-fields'
import type { JsonSchema } from '@millrace/models/schema'
import { fillTemplate, fillUrl, type Scope } from '@millrace/models/template'
import type { Question } from './ask-host.ts'
import { Failed } from './faults.ts'
import type { Call } from './open-remote.ts'
import { addressOf, type Rehost } from './rehost.ts'

/** What a host is asked for one run: the url and the body of the description, filled in. */
export function questionOf({ settings, scope }: Pick<Call<'http'>, 'settings'> & { scope: Scope }): Question {
  const { method, headers, request = '{{ input }}' } = settings
  const url = filledUrl(settings.url, scope)
  const body = fillTemplate(request, scope)
  const accept = settings.response.stream ? { accept: streamTypes } : {}
  const question = { method, headers: { ...accept, ...headers } }
  return method === 'GET'
    ? { ...question, url: withQuery(url, body) }
    : { ...question, url, json: body ?? {} }
}

/** A template never has a say in the host, nor leads out of the folder that the url names. */
function filledUrl(template: string, scope: Scope): string {
  const [fixed = ''] = template.split('{{')
  if (fixed === template) return template
  const filled = String(fillUrl(template, scope))
  const url = URL.parse(filled)
  if (!url || url.origin !== URL.parse(fixed)?.origin)
    throw new Failed('The url of the request cannot be made of this input.')
  refuseDots(filled)
  return filled
}

/** An address that a host gave for a job of its own: at that host, or it would hear the key of another. */
export function jobUrl(template: string, scope: Scope, home: string): string {
  const only = /^\s*\{\{[^{}]*\}\}\s*$/.test(template)
  const filled = only ? fillTemplate(template.trim(), scope) : fillUrl(template, scope)
  const url = typeof filled === 'string' && filled !== '' ? URL.parse(filled, home) : null
  if (!url)
    throw new Failed("The host's answer does not say where its job is to be asked for.", 'INVALID_OUTPUT')
  if (url.origin !== new URL(home).origin)
    throw new Failed(
      'The host named an address of another host for its job, which is not asked.',
      'INVALID_OUTPUT',
    )
  if (!only) refuseDots(String(filled))
  return url.href
}

/** `URL` reads these as "up", also when they are percent-encoded. */
function refuseDots(url: string): void {
  const [path = ''] = url.split(/[?#]/)
  if (path.split('/').some((part) => /^(\.|%2e){1,2}$/i.test(part)))
    throw new Failed('The url of the request cannot be made of this input: "." and ".." are no names.')
}

function withQuery(address: string, values: unknown): string {
  const url = new URL(address)
  if (typeof values !== 'object' || values === null) return url.href
  for (const [name, value] of Object.entries(values)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== null)
        url.searchParams.append(name, typeof item === 'object' ? JSON.stringify(item) : String(item))
    }
  }
  return url.href
}

/** The input with each file in the way in which the host takes it. */
export async function passedInput(
  { input, description, settings }: Pick<Call<'http'>, 'input' | 'description' | 'settings'>,
  rehost: Rehost,
): Promise<Record<string, unknown>> {
  const files = fileFields(description.input_schema as JsonSchema, input)
  const replacements: { path: (string | number)[]; value: string }[] = []
  for (const { path, url } of files) {
    const here = settings.files !== 'url' && /^https?:/i.test(url) ? await rehost.inputFile(url) : url
    replacements.push({ path, value: await (settings.files === 'base64' ? base64Of : addressOf)(here) })
  }
  return replaceFiles(input, replacements)
}

/** A host that takes base64 gets the alphabet and the padding that every decoder knows. */
async function base64Of(value: string): Promise<string> {
  const bytes = isDataUrl(value) ? parseDataUrl(value)?.bytes : await readFile(value)
  if (!bytes) throw new Failed('A data URL of the input cannot be read.')
  return bytes.toString('base64')
}

const streamTypes = 'text/event-stream, application/x-ndjson, application/json'
