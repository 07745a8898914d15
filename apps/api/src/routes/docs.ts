import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { endpoints } from '@millrace/contract/endpoints'
import { answered, route } from '../route.ts'

/** The interactive reference: one page with its script inside, so that it works without a network. */
export const docs = route(endpoints.docs, async ({ response }) => {
  response
    .status(200)
    .set(
      'content-security-policy',
      "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; connect-src *",
    )
    .type('html')
    .send(await page())
  return answered
})

let rendered: string | undefined

async function page(): Promise<string> {
  if (rendered === undefined) {
    const script = await readFile(
      createRequire(import.meta.url).resolve('rapidoc/dist/rapidoc-min.js'),
      'utf8',
    )
    rendered = html.replace('/*script*/', () => script.replaceAll('</script', '<\\/script'))
  }
  return rendered
}

const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Millrace API reference</title>
<link rel="icon" href="data:,">
<script type="module">/*script*/</script>
</head>
<body>
<rapi-doc spec-url="/openapi.json" render-style="read" theme="light" primary-color="#0b6e4f" load-fonts="false"
  regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace" show-header="false" allow-authentication="true"
  allow-spec-file-download="true" allow-server-selection="false" schema-style="table" persist-auth="true">
</rapi-doc>
</body>
</html>
`
