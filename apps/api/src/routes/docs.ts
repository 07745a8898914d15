import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { endpoints } from '@millrace/contract/endpoints'
import { answered, route } from '../route.ts'

/** The interactive reference: one page with its script and style inside, so that it works without a network. */
export const docs = route(endpoints.docs, async ({ response }) => {
  response
    .status(200)
    .set({
      'content-security-policy':
        "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:",
      'cache-control': 'public, max-age=3600',
    })
    .type('html')
    .send(await page())
  return answered
})

let rendered: string | undefined

async function page(): Promise<string> {
  if (rendered === undefined) {
    const [style, script] = await Promise.all([asset('swagger-ui.css'), asset('swagger-ui-bundle.js')])
    // Functions: what is put in is full of $ signs, which replace would otherwise read as its own.
    rendered = html
      .replace('/*style*/', () => style)
      .replace('/*script*/', () => script.replaceAll('</script', '<\\/script'))
  }
  return rendered
}

function asset(name: string): Promise<string> {
  return readFile(createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`), 'utf8')
}

const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Millrace API reference</title>
<link rel="icon" href="data:,">
<style>/*style*/
body { margin: 0; } .swagger-ui .information-container { padding-bottom: 0; } .swagger-ui .info { margin: 24px 0 8px; }
</style>
</head>
<body>
<div id="reference"></div>
<script>/*script*/</script>
<script>
SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  // The page may be open under another name of this machine than the public URL has.
  requestInterceptor: (request) => {
    const url = new URL(request.url, location.href)
    return Object.assign(request, { url: location.origin + url.pathname + url.search })
  },
})
</script>
</body>
</html>
`
