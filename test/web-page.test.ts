import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openProvider } from '@millrace/providers/open-provider'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { shippedModel, startRun, temporaryFolder } from './run-model.ts'

beforeEach(() => void vi.stubEnv('OUTBOUND_LOOPBACK', 'true'))
afterEach(() => void vi.unstubAllEnvs())

test('a page is answered as its title, text and absolute links', async () => {
  const host = await givenSite({
    '/a/page': {
      type: 'text/html; charset=utf-8',
      body: `<!doctype html><html lang="en"><head><title> A  mill\n by a river </title>
        <meta name="description" content="About mills"><style>p { color: red }</style></head>
        <body><nav><a href="/home">Home</a></nav><h1>Mills</h1><p>One <b>wheel</b>
        turns.</p><p>Two<br>lines.</p><script>alert('never')</script>
        <table><tr><td>a</td><td>b</td></tr></table>
        <a href="more#x">More</a> <a href="javascript:alert(1)">No</a> <a href="https://elsewhere.example/">Out</a></body></html>`,
    },
  })

  expect(await read({ url: `${host}/a/page` })).toEqual({
    url: `${host}/a/page`,
    content_type: 'text/html',
    title: 'A mill by a river',
    description: 'About mills',
    language: 'en',
    text: expect.stringMatching(/Home\n+Mills\n+One wheel turns\.\n+Two\nlines\.\n+a b\n+More No Out$/),
    truncated: false,
    links: [
      { url: `${host}/home`, text: 'Home' },
      { url: `${host}/a/more#x`, text: 'More' },
      { url: 'https://elsewhere.example/', text: 'Out' },
    ],
  })
})

test('a page says itself where it is after redirects, and its base counts for links', async () => {
  const host = await givenSite({
    '/old': { status: 302, location: '/new/' },
    '/new/': { type: 'text/html', body: '<base href="/deep/er/"><a href="x">x</a>' },
  })
  expect(await read({ url: `${host}/old` })).toMatchObject({
    url: `${host}/new/`,
    links: [{ url: `${host}/deep/er/x` }],
  })
})

test.each([
  ['its header', 'text/html; charset=windows-1252', Buffer.from('<p>caf\xe9</p>', 'latin1')],
  ['the page', 'text/html', Buffer.from('<meta charset="iso-8859-1"><p>caf\xe9</p>', 'latin1')],
  ['nobody', 'text/html', Buffer.from('<p>café</p>')],
])('a page is read in the character set that %s names', async (_who, type, body) => {
  const host = await givenSite({ '/': { type, body } })
  expect(await read({ url: `${host}/` })).toMatchObject({ text: 'café' })
})

test('plain text is its text; a long one is cut and says so', async () => {
  const host = await givenSite({ '/': { type: 'text/plain', body: 'word '.repeat(100) } })
  expect(await read({ url: `${host}/`, max_characters: 100 })).toMatchObject({
    title: '',
    text: 'word '.repeat(20),
    truncated: true,
  })
})

test('a page nested ten thousand deep is read', async () => {
  const depth = 10_000
  const body = `${'<div>'.repeat(depth)}deep${'</div>'.repeat(depth)}`
  const host = await givenSite({ '/': { type: 'text/html', body } })
  expect(await read({ url: `${host}/` })).toMatchObject({ text: 'deep' })
})

test.each<[string, (host: string) => string, RegExp]>([
  ['a picture', (host) => `${host}/picture`, /image\/png, which is no page/],
  ['a page that is gone', (host) => `${host}/gone`, /HTTP 404/],
  ['another scheme', () => 'file:///etc/passwd', /must start with http/],
])('%s fails and says why', async (_what, url, why) => {
  const host = await givenSite({ '/picture': { type: 'image/png', body: 'pixels' } })
  await expect(read({ url: url(host) })).rejects.toThrow(why)
})

test('an address inside the network is refused, also by way of a redirect', async () => {
  vi.stubEnv('OUTBOUND_LOOPBACK', 'false')
  const host = await givenSite({ '/': { type: 'text/html', body: 'secret' } })
  await expect(read({ url: host })).rejects.toThrow('may not call')

  vi.stubEnv('OUTBOUND_LOOPBACK', 'true')
  const way = await givenSite({ '/': { status: 302, location: 'http://169.254.169.254/latest/meta-data' } })
  await expect(read({ url: way })).rejects.toThrow('may not call')
})

test("the service's own stores are closed, also where loopback is open", async () => {
  const host = await givenSite({ '/': { type: 'text/html', body: 'a store' } })
  vi.stubEnv('DATABASE_URL', `postgres://localhost:${new URL(host).port}/millrace`)
  await expect(read({ url: host })).rejects.toThrow('may not call')
})

async function read(input: Record<string, unknown>): Promise<unknown> {
  await using folder = await temporaryFolder()
  const description = await shippedModel('web-page')
  const provider = openProvider(description)
  try {
    const ended = await startRun(provider, description, input, folder.path).outcome
    if (ended.kind === 'succeeded') return ended.output
    throw new Error('detail' in ended ? ended.detail : ended.kind)
  } finally {
    await provider.close()
  }
}

async function givenSite(pages: Record<string, Page>): Promise<string> {
  const answer: RequestListener = (request, response) => {
    const page = pages[request.url ?? '']
    if (!page) response.writeHead(404).end()
    else if ('location' in page) response.writeHead(page.status, { location: page.location }).end()
    else response.writeHead(200, { 'content-type': page.type }).end(page.body)
  }
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

type Page = { type: string; body: string | Buffer } | { status: number; location: string }
