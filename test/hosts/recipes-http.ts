import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { openCallback, report } from '../callback-here.ts'
import type { RecipeHost } from '../recipes.ts'

/** An endpoint of one's own: an answer at once. */
export async function openSummariser(): Promise<RecipeHost> {
  const server = await serve(async (request, response) => {
    const { document, options } = (await json(request)) as {
      document: string
      options: { max_words: number }
    }
    const allowed =
      request.url === '/v2/summaries' && request.headers.authorization === 'Bearer summariser-key'
    if (!allowed) return send(response, 401, { problem: 'Who are you?' })
    send(response, 200, { data: [{ summary: `${document} (${options.max_words} words at most)` }] })
  })
  return {
    environment: { SUMMARISER_URL: server.url, SUMMARISER_KEY: 'summariser-key' },
    close: server.close,
  }
}

/** JSON lines, as Ollama's `POST /api/generate` answers. */
export async function openOllama(): Promise<RecipeHost> {
  const server = await serve(async (request, response) => {
    const { model, prompt, stream } = (await json(request)) as {
      model: string
      prompt: string
      stream: boolean
    }
    if (request.url !== '/api/generate' || !stream) return send(response, 404, { error: 'not found' })
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    for (const part of prompt.split(/(?<= )/)) {
      response.write(
        `${JSON.stringify({ model, created_at: '2026-01-01T00:00:00Z', response: part, done: false })}\n`,
      )
    }
    response.end(`${JSON.stringify({ model, response: '', done: true, done_reason: 'stop' })}\n`)
  })
  return { environment: { OLLAMA_URL: server.url }, close: server.close }
}

/** ComfyUI: a prompt is queued, its history is empty until it has run, and its files are seen by their names. */
export async function openComfyui(): Promise<RecipeHost> {
  const asked = new Map<string, { text: string; polls: number }>()
  const server = await serve(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://comfy')
    if (url.pathname === '/prompt') {
      const { prompt } = (await json(request)) as { prompt: Record<string, ComfyNode> }
      const { seed, steps } = prompt['5']?.inputs ?? {}
      const id = `0b6a-${asked.size}`
      asked.set(id, { text: `${prompt['2']?.inputs.text}, seed ${seed}, ${steps} steps`, polls: 0 })
      return send(response, 200, { prompt_id: id, number: asked.size, node_errors: {} })
    }
    if (url.pathname === '/view') {
      response.setHeader('content-type', 'image/png').end(url.searchParams.get('filename'))
      return
    }
    const id = url.pathname.split('/')[2] ?? ''
    const job = asked.get(id)
    if (!job || job.polls++ < 1) return send(response, 200, {})
    const images = [{ filename: job.text, subfolder: '', type: 'output' }]
    const status = {
      status_str: 'success',
      completed: true,
      messages: [['execution_start', { prompt_id: id }]],
    }
    send(response, 200, { [id]: { prompt: [], outputs: { '7': { images } }, status, meta: {} } })
  })
  return { environment: { COMFYUI_URL: server.url }, close: server.close }
}

/** SearXNG's `GET /search` with `format=json`. */
export async function openSearxng(): Promise<RecipeHost> {
  const server = await serve(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://searxng')
    const [query, page] = [searchParams.get('q'), searchParams.get('pageno')]
    if (pathname !== '/search' || searchParams.get('format') !== 'json') return send(response, 403, {})
    const found = { url: 'https://mills.example/', content: `About ${query}`, engine: 'one' }
    send(response, 200, { query, results: [{ title: `${query}, page ${page}`, ...found }], suggestions: [] })
  })
  return { environment: { SEARXNG_URL: server.url }, close: server.close }
}

/** docling-serve's `POST /v1/convert/source` with a file. */
export async function openDocling(): Promise<RecipeHost> {
  const server = await serve(async (request, response) => {
    const { options, sources } = (await json(request)) as {
      options: { to_formats: string[] }
      sources: { kind: string; filename: string; base64_string: string }[]
    }
    const [source] = sources
    if (request.url !== '/v1/convert/source' || source?.kind !== 'file' || options.to_formats[0] !== 'md') {
      return send(response, 422, { detail: [{ loc: ['body', 'sources'], msg: 'Field required' }] })
    }
    const md_content = `# ${Buffer.from(source.base64_string, 'base64')}`
    send(response, 200, {
      document: { filename: source.filename, md_content },
      status: 'success',
      errors: [],
    })
  })
  return { environment: { DOCLING_URL: server.url }, close: server.close }
}

/** A farm that reports when it is done. */
export async function openRenderer(): Promise<RecipeHost> {
  const { callback, close } = await openCallback()
  const films = new Map<string, string>()
  const server = await serve(async (request, response) => {
    if (request.url?.startsWith('/films/')) return void response.end(films.get(request.url))
    if (request.headers['x-api-key'] !== 'renderer-key')
      return send(response, 401, { reason: 'Who are you?' })
    const { scene, notify } = (await json(request)) as { scene: string; notify: string }
    films.set('/films/v1.mp4', `a film of ${scene}`)
    send(response, 202, { id: 'v1' })
    await report(notify, { id: 'v1', state: 'finished', video: `${server.url}/films/v1.mp4` })
  })
  return {
    environment: { RENDERER_URL: server.url, RENDERER_KEY: 'renderer-key' },
    callback,
    close() {
      server.close()
      close()
    },
  }
}

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>) {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

interface ComfyNode {
  inputs: Record<string, unknown>
}
