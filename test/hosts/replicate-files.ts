import { createHash, randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { type Asked, Refusal, sendJson } from './cloud.ts'

/** The files of the fake Replicate: what was uploaded, and what its models have made. */
export function createFiles(base: string): Files {
  const stored = new Map<string, Stored>()

  function keep(bytes: Buffer, name: string, type: string): Stored {
    const id = randomUUID().replaceAll('-', '')
    const at = `${base}/files/${id}`
    const download = `${at}/download?owner=acme&expiry=2000000000&signature=${id.slice(0, 8)}`
    const file = { id, bytes, name, type, urls: { get: at, download } }
    stored.set(id, file)
    return file
  }

  function found(path: string): Stored {
    const file = stored.get(/^\/files\/(\w+)/.exec(path)?.[1] ?? '')
    if (!file) throw new Refusal(404, { title: 'Not found', detail: 'No such file', status: 404 })
    return file
  }

  return {
    keep,
    stored: (url) => (url.startsWith(`${base}/files/`) ? found(url.slice(base.length)).bytes : undefined),
    async serve(asked, path, response) {
      if (asked.method === 'POST' && path === '/files') {
        const content = (await formOf(asked)).get('content')
        if (!(content instanceof File)) {
          throw new Refusal(422, { title: 'Unprocessable', detail: 'content: is required', status: 422 })
        }
        const file = keep(Buffer.from(await content.arrayBuffer()), content.name, content.type)
        return sendJson(response, 201, shown(file))
      }
      if (asked.method === 'DELETE') {
        stored.delete(found(path).id)
        return void response.writeHead(204).end()
      }
      sendJson(response, 200, shown(found(path)))
    },
    download({ path, query }, response) {
      const { id, bytes, type } = found(path.replace(/^\/v1/, ''))
      if (query.get('signature') !== id.slice(0, 8)) throw new Refusal(403, { detail: 'Wrong signature' })
      response.writeHead(200, { 'content-type': type }).end(bytes)
    },
  }
}

function formOf({ body, headers }: Asked): Promise<FormData> {
  return new Response(new Uint8Array(body), {
    headers: { 'content-type': headers['content-type'] ?? '' },
  }).formData()
}

function shown({ id, bytes, name, type, urls }: Stored) {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return {
    id,
    name,
    content_type: type,
    size: bytes.length,
    checksums: { sha256 },
    metadata: {},
    created_at: new Date().toISOString(),
    expires_at: new Date(Date.now() + 86_400_000).toISOString(),
    urls: { get: urls.get },
  }
}

export interface Files {
  keep(bytes: Buffer, name: string, type: string): Stored
  /** The bytes behind an address of a file. */
  stored(url: string): Buffer | undefined
  serve(asked: Asked, path: string, response: ServerResponse): Promise<void>
  download(asked: Asked, response: ServerResponse): void
}

interface Stored {
  id: string
  bytes: Buffer
  name: string
  type: string
  urls: { get: string; download: string }
}
