import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPost } from '@millrace/dispatcher/post'
import { type FetchFileError, fetchFile } from '@millrace/outbound/fetch-file'
import { createGuard, type Guard } from '@millrace/outbound/guard'
import { freePort } from '@millrace/standalone/ports'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { spellingsOf } from './address-spellings.ts'
import { startTestWorker } from './given-worker.ts'
import { type OpenAndClosed, startOpenAndClosed } from './open-and-closed.ts'

// What a closed target is must not show: neither in a connection nor in a word of the answer. Each is tried at a port
// where somebody listens and at one where nobody does.
let net: OpenAndClosed
let silentPort: number
let folder: string
beforeEach(async () => {
  net = await startOpenAndClosed((request, response) => {
    const [, status, location = ''] = /^\/(3\d\d)\/(.*)$/.exec(request.url ?? '') ?? []
    // A header is sent as Latin-1, which is how UTF-8 gets through.
    const target = Buffer.from(decodeURIComponent(location)).toString('latin1')
    if (status !== undefined) response.writeHead(Number(status), { location: target })
    response.end('reached')
  })
  silentPort = await freePort()
  folder = await mkdtemp(join(tmpdir(), 'millrace-closed-'))
})
afterEach(async () => {
  await net.close()
  await rm(folder, { recursive: true })
})

test('no spelling of a closed address gets a connection, and none tells whether a port is open', async () => {
  const guard = createGuard({ allow: [], loopback: false })
  const post = createPost({ guard, timeoutMs: 30_000 })
  const answers = new Set<string>()
  for (const host of [...spellingsOf(net.openAddress), '[::1]', '0.0.0.0', '[::]', 'localhost']) {
    for (const port of [net.port, silentPort]) {
      const { kind, ...answer } = await post.post(`http://${host}:${port}/`, {}, '{}')
      answers.add(`webhook ${kind}: ${'error' in answer && answer.error}`)
      answers.add(`file ${await fetched(guard, `http://${host}:${port}/`)}`)
    }
  }
  await post.close()

  expect([...answers].sort()).toEqual([
    'file refused: The URL points at a host that this service may not call',
    'webhook refused: The target may not be called by this service',
  ])
  expect(net.connections).toEqual({ open: 0, closed: 0 })
})

test('no redirect leads a download to a closed address, or tells whether a port is open', async () => {
  const guard = outsideOnly()
  const answers = new Set<string>()
  let tries = 0
  for (const target of closedUrls()) {
    for (const status of [301, 302, 303, 307, 308]) {
      answers.add(await fetched(guard, redirect(status, target)))
      tries += 1
    }
    answers.add(await fetched(guard, redirect(302, redirect(302, target))))
    tries += 2
  }

  expect([...answers]).toEqual(['refused: The URL points at a host that this service may not call'])
  expect(net.connections).toEqual({ open: tries, closed: 0 })
  expect(await fetched(guard, redirect(302, redirect(307, outside('/'))))).toBe('fetched')
})

test('no redirect leads a webhook anywhere', async () => {
  const post = createPost({ guard: outsideOnly(), timeoutMs: 30_000 })
  for (const target of closedUrls()) {
    for (const status of [301, 302, 303, 307, 308]) {
      const answer = await post.post(redirect(status, target), {}, '{}')
      expect([target, answer]).toMatchObject([
        target,
        { kind: 'answered', statusCode: status, response: 'reached' },
      ])
    }
  }
  await post.close()
  expect(net.connections.closed).toBe(0)
})

test('the error of a prediction does not tell whether a port is open behind its input file', async () => {
  const worker = await startTestWorker('redis', {
    OUTBOUND_LOOPBACK: 'false',
    OUTBOUND_ALLOW: net.allow.join(),
  })
  try {
    const [closedHost = ''] = closedHosts()
    const targets = [net.port, silentPort].map((port) => `http://${closedHost}:${port}/`)
    const files = [...targets, ...targets.map((target) => redirect(302, target)), outside('/')]
    const runs = await Promise.all(files.map((file) => worker.create('read-file', { file })))
    const ended = await Promise.all(runs.map((run) => run.reaches('succeeded', 'failed')))

    const refusal = ['failed', 'input.file: The URL points at a host that this service may not call', null]
    const told = ended.map(({ status, error, output }) => [status, error, output])
    expect(told).toEqual([refusal, refusal, refusal, refusal, ['succeeded', null, 'reached']])
    expect(net.connections).toEqual({ open: 3, closed: 0 })
  } finally {
    await worker.stop()
  }
})

function outsideOnly(): Guard {
  const names: Record<string, string[]> = {
    'inside.test': [net.closedAddress],
    'mixed.test': [net.openAddress, net.closedAddress],
  }
  return createGuard({
    allow: net.allow,
    loopback: false,
    resolve: async (name) =>
      (names[name] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
  })
}

function closedHosts(): string[] {
  return net.closedAddress.includes(':') ? [`[${net.closedAddress}]`] : spellingsOf(net.closedAddress)
}

function closedUrls(): string[] {
  const hosts = [...closedHosts(), 'inside.test', 'mixed.test', 'nowhere.test']
  return [net.port, silentPort].flatMap((port) => hosts.map((host) => `http://${host}:${port}/`))
}

function outside(path: string): string {
  return `http://${net.openAddress}:${net.port}${path}`
}

function redirect(status: number, target: string): string {
  return outside(`/${status}/${encodeURIComponent(target)}`)
}

async function fetched(guard: Guard, url: string): Promise<string> {
  const limits = { maxBytes: 1_000, timeoutMs: 30_000 }
  return fetchFile(guard, url, limits, join(folder, 'file')).then(
    () => 'fetched',
    ({ reason, message }: FetchFileError) => `${reason}: ${message}`,
  )
}
