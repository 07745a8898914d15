import { tags } from '@millrace/contract/tags'
import type { Context } from '../context.ts'
import { curlOf } from './curl-of.ts'
import { clientsOf, howToAuthenticate } from './overview.ts'
import { usefulEndpoints } from './useful-endpoints.ts'
import { visibleModels } from './visible-models.ts'

/** `overviewOf` in words, as Markdown: how to call this service, what for, and which models it has. */
export function guideTo(context: Context): string {
  const { PUBLIC_URL: publicUrl } = context.config
  return `# Millrace

> Any model as an API: text, pictures, sound, film and code behind one key, at ${publicUrl}.

## How to call it

* Base URL: \`${publicUrl}/v1\`
* ${howToAuthenticate} The commands below take it from \`MILLRACE_API_KEY\`.
* Errors are JSON with a message that says what to do.
* Every operation with all its fields: ${publicUrl}/openapi.json. The same as JSON: ${publicUrl}/v1.

Clients that work as they are, with the base URL to give them:

${Object.entries(clientsOf(context))
  .map(([name, url]) => `* ${name}: \`${url}\``)
  .join('\n')}

${sectionsOf(context).join('\n\n')}

## Models

A request names one by what stands in front. \`GET /v1/models/{slug}?fields=input_schema\` says what its input may be.

${modelsOf(context).join('\n\n')}
`
}

/** Part by part of the API: what there is, and a command for each that works as it stands. */
function sectionsOf(context: Context): string[] {
  const byTag = Map.groupBy(usefulEndpoints, ({ tag }) => tag)
  return [...byTag].map(([tag, endpoints]) => {
    const calls = endpoints.map((endpoint) => {
      const command = curlOf(context, endpoint)
      const line = `* \`${endpoint.method.toUpperCase()} ${endpoint.path}\`: ${endpoint.summary}`
      return command === undefined ? line : `${line}\n\n  \`\`\`sh\n  ${command}\n  \`\`\`\n`
    })
    return `## ${tag}\n\n${tags[tag]}\n\n${calls.join('\n')}`.trimEnd()
  })
}

function modelsOf(context: Context): string[] {
  const byType = Map.groupBy(visibleModels(context), ({ type }) => type)
  return [...byType]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([type, models]) => {
      const lines = models.map(({ namespace, description }) => `* \`${namespace}\`: ${oneLine(description)}`)
      return `### ${type}\n\n${lines.join('\n')}`
    })
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
