import { gzipSync } from 'node:zlib'
import { createGuard } from '@millrace/outbound/guard'
import { expect, test } from 'vitest'
import { givenServer, runHttp } from './given-http.ts'
import { answer, givenRawHost } from './raw-host.ts'

// What a host may answer to do harm to the worker that asks it.

test('an answer that would be millions of values in memory is refused before it is read', async () => {
  const body = gzipSync(`[${'{},'.repeat(8_000_000)}{}]`)
  const host = await givenRawHost((socket) => {
    socket.end(answer(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }, body))
  })
  const { outcome } = await runHttp({ url: host.url }, {})
  expect(await outcome).toMatchObject({
    kind: 'failed',
    code: 'INVALID_OUTPUT',
    detail: expect.stringContaining('more values'),
  })
})

test('so is one line, or event, of it', async () => {
  for (const [type, start] of [
    ['application/x-ndjson', ''],
    ['text/event-stream', 'data: '],
  ] as const) {
    const body = gzipSync(`${start}[${'{},'.repeat(8_000_000)}{}]\n\n`)
    const host = await givenRawHost((socket) => {
      socket.end(answer(200, { 'content-type': type, 'content-encoding': 'gzip' }, body))
    })
    const { outcome } = await runHttp({ url: host.url, response: { stream: { delta: '{{ body.x }}' } } }, {})
    expect(await outcome).toMatchObject({ kind: 'failed', detail: expect.stringContaining('more values') })
  }
})

test('a large answer that is mostly a file inside is read', async () => {
  const picture = `data:image/png;base64,${Buffer.alloc(24 * 1024 * 1024, 'picture').toString('base64')}`
  const host = await givenServer(() => ({ picture }))
  const response = { output: '{{ body.picture }}' }
  const { outcome } = await runHttp({ url: host.url, response }, {}, { traits: { type: 'image' } })
  expect(await outcome).toMatchObject({ kind: 'succeeded' })
})

test('an answer that is nested without end fails its run in words', async () => {
  for (const depth of [70, 50_000]) {
    const host = await givenRawHost((socket) => {
      const body = `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
      socket.end(answer(200, { 'content-type': 'application/json' }, body))
    })
    for (const provider of [
      { url: host.url },
      { url: host.url, response: { output: '{{ body.a }}' } },
      ...(depth > 1_000 ? [{ url: host.url, response: { output: 'said {{ body.a }}' } }] : []),
    ]) {
      const { outcome } = await runHttp(provider, {})
      const said = await outcome
      expect(said).toMatchObject({ kind: 'failed' })
      expect(JSON.stringify(said)).not.toMatch(/call stack/)
    }
  }
})

test.each(['a\nb', 'a\r\nx-evil: 1', 'ключ\n'])(
  'a variable that no header can hold is the installation’s fault: %j',
  async (TOKEN) => {
    const host = await givenServer(() => 'done')
    const headers = { authorization: `Bearer \${TOKEN}` }
    const { outcome } = await runHttp({ url: host.url, headers }, {}, { options: { environment: { TOKEN } } })
    const said = await outcome
    expect(said).toMatchObject({ kind: 'unavailable', reason: expect.stringContaining('header') })
    expect(said).not.toMatchObject({ down: true })
    expect(said).not.toMatchObject({ uncertain: true })
    expect(host.asked).toEqual([])
  },
)

test('a line or an event without end is given up', { timeout: 120_000 }, async () => {
  for (const type of ['application/x-ndjson', 'text/event-stream']) {
    const host = await givenRawHost((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\n\r\ndata: "`)
      const part = Buffer.alloc(1024 * 1024, 'x')
      const more = () => {
        while (!socket.destroyed && socket.write(part));
      }
      socket.on('drain', more)
      more()
    })
    const { outcome } = await runHttp({ url: host.url, response: { stream: { delta: '{{ body }}' } } }, {})
    expect(await outcome).toMatchObject({ kind: 'failed', code: 'INVALID_OUTPUT' })
  }
})

test('a host that lets its cancel drip for ever holds nobody', async () => {
  const host = await givenRawHost((socket, _n, first) => {
    if (first.startsWith('POST /cancel')) {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n')
      const timer = setInterval(() => socket.write('x'), 50)
      socket.on('close', () => clearInterval(timer))
      return
    }
    socket.end(answer(200, { 'content-type': 'application/json' }, '{"id": 1, "status": "running"}'))
  })
  const poll = { url: '/jobs', status: '{{ body.status }}', every_seconds: 0.05, cancel: { url: '/cancel' } }
  const { outcome, abort, kept } = await runHttp({ url: host.url, poll }, {})
  while (kept.length === 0) await new Promise(setImmediate)
  abort('cancel')
  expect(await outcome).toEqual({ kind: 'aborted' })
}, 30_000)

test('a cloud cannot have a file of the input sent to an address inside', async () => {
  const inside = await givenServer(() => 'taken')
  const cloud = await givenServer(({ path }) =>
    path.startsWith('/storage')
      ? { upload_url: `${inside.url}/latest`, file_url: 'https://files.test/1' }
      : { request_id: 'a', status: 'COMPLETED', output: 'done' },
  )
  const picture = `data:image/png;base64,${Buffer.alloc(400_000).toString('base64')}`
  const key = `\${FAL_TEST_KEY}`
  const { outcome } = await runHttp(
    { kind: 'fal', model: 'acme/paint', key, base_url: cloud.url },
    { image: picture },
    {
      options: {
        environment: { FAL_TEST_KEY: 'a-long-key' },
        guard: createGuard({ allow: [], loopback: false }),
      },
    },
  )
  expect(await outcome).toMatchObject({ kind: 'failed', detail: expect.stringContaining('is not asked') })
  expect(inside.asked).toEqual([])
  expect(cloud.asked).toHaveLength(1)
})
