import type { Catalogue, CatalogueProblem } from './assemble-catalogue.ts'
import { checkSchemas } from './check-schemas.ts'
import { type CogSchema, cogSchema } from './cog-schema.ts'
import { missingVariables, variableOf } from './config.ts'
import type { ModelDescription } from './description.ts'
import { withTitles } from './schema.ts'
import { replaceVariables, variablesOf } from './variables.ts'
import { versionIdOf } from './version-id.ts'

/**
 * Asks the containers of models that state no schema for theirs, and goes on asking: seldom once it is known, so that a
 * new container's is noticed, and often until then. `found` is called when a container has something new to say.
 */
export function createCogSchemas(
  found: () => void,
  { oftenMs, seldomMs }: Asking = { oftenMs: 2_000, seldomMs: 30_000 },
): CogSchemas {
  const hosts = new Map<string, Host>()
  let closed = false

  async function ask(url: string, host: Host): Promise<void> {
    const before = JSON.stringify([host.schema, host.fault])
    try {
      host.schema = await fetchSchema(url)
      host.fault = undefined
    } catch (error) {
      host.fault = reasonOf(error)
    }
    host.next = performance.now() + (host.schema && !host.fault ? seldomMs : oftenMs)
    host.asking = undefined
    if (!closed && JSON.stringify([host.schema, host.fault]) !== before) found()
  }

  return {
    async ask({ models }) {
      const urls = new Set([...models.values()].flatMap((model) => urlOf(model) ?? []))
      for (const url of hosts.keys()) if (!urls.has(url)) hosts.delete(url)
      for (const url of urls) {
        const host = hosts.get(url) ?? { next: 0 }
        hosts.set(url, host)
        if (performance.now() >= host.next) host.asking ??= ask(url, host)
      }
      await Promise.all([...hosts.values()].map(({ asking }) => asking))
    },
    complete(catalogue) {
      const problems: CatalogueProblem[] = []
      const completed = new Map<ModelDescription, ModelDescription>()
      for (const model of catalogue.models.values()) {
        const url = urlOf(model)
        const host = url === undefined ? undefined : hosts.get(url)
        if (!host?.schema) {
          if (host?.fault) {
            problems.push({
              path: model.file,
              reason: `Its container has not told its schema: ${host.fault}`,
            })
          }
          continue
        }
        const full = withSchema(model, host.schema)
        const fault = faultOf(full)
        if (fault === undefined) completed.set(model, full)
        else problems.push({ path: model.file, reason: `What its container tells of it: ${fault}` })
      }
      const fullOf = (model: ModelDescription) => completed.get(model) ?? model
      return {
        models: new Map([...catalogue.models].map(([name, model]) => [name, fullOf(model)])),
        problems: [...catalogue.problems, ...problems],
        find(slug) {
          const model = catalogue.find(slug)
          return model && fullOf(model)
        },
      }
    },
    close() {
      closed = true
    },
  }
}

/** Where to ask; undefined for a model that needs no asking, or cannot be asked for want of a variable. */
function urlOf(model: ModelDescription): string | undefined {
  const { provider, statesInput } = model
  if (statesInput || provider.kind !== 'cog' || missingVariables(variablesOf(model)).length > 0)
    return undefined
  const base = replaceVariables(provider.url, (name) => variableOf(name) ?? '')
  return `${base.replace(/\/+$/, '')}/openapi.json`
}

async function fetchSchema(url: string): Promise<CogSchema> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: 'error' })
  if (!response.ok) throw new Error(`it answers ${response.status}`)
  const schema = cogSchema(JSON.parse(await shortText(response)))
  if (!schema) throw new Error('its openapi.json has no Input')
  return schema
}

/** A document is a few kilobytes; one without end is not read to its end. */
async function shortText(response: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > maxBytes) throw new Error(`its openapi.json is larger than ${maxBytes >> 20} MB`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function withSchema(model: ModelDescription, { input, output }: CogSchema): ModelDescription {
  const full = {
    ...model,
    input_schema: withTitles(input, 'Input'),
    output_schema:
      Object.keys(model.output_schema).length > 0 ? model.output_schema : withTitles(output, 'Output'),
    statesInput: true,
  }
  return { ...full, versionId: versionIdOf(full, [Buffer.from(model.versionId)]) }
}

function faultOf(model: ModelDescription): string | undefined {
  try {
    checkSchemas(model)
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  return cause instanceof Error && 'code' in cause ? String(cause.code) : error.message
}

const timeoutMs = 3_000

const maxBytes = 8 * 1024 * 1024

/** How long after an answer a container is asked again, one that is away and one that told. */
export interface Asking {
  oftenMs: number
  seldomMs: number
}

/** The schemas that containers tell. */
export interface CogSchemas {
  /** Asks whom it is time to ask. Resolves when all have answered, or not in time. */
  ask(catalogue: Catalogue): Promise<void>
  /** The catalogue with what is known by now. */
  complete(catalogue: Catalogue): Catalogue
  close(): void
}

interface Host {
  schema?: CogSchema
  fault?: string | undefined
  next: number
  asking?: Promise<void> | undefined
}
