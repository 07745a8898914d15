import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { type FetchFileError, fetchFile } from '@millrace/outbound/fetch-file'
import { createGuard } from '@millrace/outbound/guard'
import { afterEach, beforeEach, expect, test } from 'vitest'

const limits = { maxBytes: 1_000, timeoutMs: 5_000 }
const local = createGuard({ allow: [], loopback: true })
const servers: Server[] = []
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-fetch-'))
})

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
  await rm(folder, { recursive: true })
})

test('a file arrives whole, with its type and name', async () => {
  const host = await serve((_, response) =>
    response.writeHead(200, { 'content-type': 'image/png' }).end('pixels'),
  )
  const file = await fetchFile(local, `${host}/a/scan%201.png?x=1`, limits, target())
  expect(file).toEqual({
    contentType: 'image/png',
    bytes: 6,
    name: 'scan 1.png',
    url: `${host}/a/scan%201.png?x=1`,
  })
  expect(await readFile(target(), 'utf8')).toBe('pixels')
})

test('a refused host is never called', async () => {
  let calls = 0
  const host = await serve((_, response) => {
    calls += 1
    response.end()
  })
  const closed = createGuard({ allow: [], loopback: false })
  expect(await failure(fetchFile(closed, host, limits, target()))).toMatchObject({ reason: 'refused' })
  expect(calls).toBe(0)
})

test('the connection goes to the address that was checked, whatever the system would resolve', async () => {
  const host = await serve((request, response) => response.end(request.headers.host))
  const { port } = new URL(host)
  const asked: string[] = []
  const pinned = createGuard({
    allow: [],
    loopback: true,
    resolve: async (name) => {
      asked.push(name)
      return [{ address: '127.0.0.1', family: 4 }]
    },
  })
  await fetchFile(pinned, `http://only-in-this-test.invalid:${port}/`, limits, target())
  expect(await readFile(target(), 'utf8')).toBe(`only-in-this-test.invalid:${port}`)
  expect(new Set(asked)).toEqual(new Set(['only-in-this-test.invalid']))
})

test('a name that moves between the check and the connect is refused', async () => {
  let calls = 0
  const host = await serve((_, response) => {
    calls += 1
    response.end()
  })
  const answers = ['93.184.216.34', '127.0.0.1']
  const rebound = createGuard({
    allow: [],
    loopback: false,
    resolve: async () => [{ address: answers.shift() ?? '', family: 4 }],
  })
  const url = `http://rebind.invalid:${new URL(host).port}/`
  expect(await failure(fetchFile(rebound, url, limits, target()))).toMatchObject({ reason: 'refused' })
  expect({ calls, left: answers.length }).toEqual({ calls: 0, left: 0 })
})

test('a redirect within what is allowed is followed, and the file is named after its end', async () => {
  const end = await serve((_, response) => response.end('there'))
  const start = await serve((_, response) => response.writeHead(302, { location: `${end}/end.txt` }).end())
  expect(await fetchFile(local, start, limits, target())).toMatchObject({ name: 'end.txt', bytes: 5 })
})

test.each([
  'http://169.254.169.254/latest/meta-data/',
  'http://10.0.0.1/',
  'http://[::ffff:10.0.0.1]/',
  'http://0x0a000001/',
])('a redirect to %s is refused', async (location) => {
  const start = await serve((_, response) => response.writeHead(302, { location }).end())
  const error = await failure(fetchFile(local, start, limits, target()))
  expect(error.reason).toBe('refused')
  expect(await readdir(folder)).toEqual([])
})

test.each(['file:///etc/passwd', 'unix:/tmp/any.sock:/', 'ftp://127.0.0.1/', 'data:,x'])(
  'a redirect to %s leads nowhere',
  async (location) => {
    const start = await serve((_, response) => response.writeHead(302, { location }).end())
    expect(await failure(fetchFile(local, start, limits, target()))).toMatchObject({ reason: 'unreachable' })
    expect(await readdir(folder)).toEqual([])
  },
)

test('a redirect loop ends', async () => {
  const host = await serve((_, response) => response.writeHead(302, { location: '/' }).end())
  expect(await failure(fetchFile(local, host, limits, target()))).toMatchObject({ reason: 'unreachable' })
})

test('a proxy in the environment is not asked', async () => {
  const proxy = await serve((_, response) => response.end('from the proxy'))
  const host = await serve((_, response) => response.end('from the host'))
  const program = `
    import { fetchFile } from '@millrace/outbound/fetch-file'
    import { createGuard } from '@millrace/outbound/guard'
    const guard = createGuard({ allow: [], loopback: true })
    await fetchFile(guard, '${host}', ${JSON.stringify(limits)}, '${target()}')
  `
  // Node reads these once, when it starts.
  const env = { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy, http_proxy: proxy }
  const options = { env, cwd: import.meta.dirname }
  await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], options)
  expect(await readFile(target(), 'utf8')).toBe('from the host')
})

test.each([
  [
    'announced',
    (_: unknown, response) => response.writeHead(200, { 'content-length': 1_001 }).end('x'.repeat(1_001)),
  ],
  ['unannounced', (_: unknown, response) => response.write('x'.repeat(1_001))],
  [
    'compressed',
    (_: unknown, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(100_000))),
  ],
] satisfies [string, RequestListener][])(
  'a file over the limit is refused and leaves nothing: %s',
  async (_, listener) => {
    const host = await serve(listener)
    const error = await failure(fetchFile(local, host, limits, target()))
    expect(error).toMatchObject({ reason: 'too-large', message: 'The file is larger than 1000 bytes' })
    expect(await readdir(folder)).toEqual([])
  },
)

test('a file of exactly the limit arrives', async () => {
  const host = await serve((_, response) => response.end('x'.repeat(1_000)))
  expect(await fetchFile(local, host, limits, target())).toMatchObject({ bytes: 1_000 })
})

test('an error status is an error, and no retry hides it', async () => {
  let calls = 0
  const host = await serve((_, response) => {
    calls += 1
    response.writeHead(503).end('no')
  })
  const error = await failure(fetchFile(local, host, limits, target()))
  expect(error).toMatchObject({ reason: 'status', message: "The file's host answered HTTP 503" })
  expect(calls).toBe(1)
})

test('a host that dribbles for ever times out', async () => {
  const host = await serve((_, response) => response.write('x'))
  const error = await failure(fetchFile(local, host, { ...limits, timeoutMs: 200 }, target()))
  expect(error.reason).toBe('timeout')
  expect(await readdir(folder)).toEqual([])
})

test('a connection cut in the middle is not a file', async () => {
  const host = await serve((_, response) => {
    response.writeHead(200, { 'content-length': 100 })
    response.write('half', () => response.destroy())
  })
  expect(await failure(fetchFile(local, host, limits, target()))).toMatchObject({ reason: 'unreachable' })
  expect(await readdir(folder)).toEqual([])
})

test('an abort stops the download with its own reason', async () => {
  const abort = new AbortController()
  const host = await serve((_, response) => response.write('x', () => abort.abort(new Error('cancelled'))))
  await expect(fetchFile(local, host, { ...limits, signal: abort.signal }, target())).rejects.toThrow(
    'cancelled',
  )
  expect(await readdir(folder)).toEqual([])
})

const target = () => join(folder, 'file')

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function failure(attempt: Promise<unknown>): Promise<FetchFileError> {
  return attempt.then(
    () => Promise.reject(new Error('It was fetched')),
    (error) => error,
  )
}
