import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createPost, type Post } from '@millrace/dispatcher/post'
import { type FetchFileError, fetchFile } from '@millrace/outbound/fetch-file'
import { createGuard, type ResolvedAddress } from '@millrace/outbound/guard'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type OpenAndClosed, startOpenAndClosed } from './open-and-closed.ts'

/**
 * A thousand names that pass the check. Three digits tell what each stands for at the three look-ups after it: 0 to 4
 * is a way of standing for the closed address, 5 to 9 is the open one. So every order of these is tried.
 */
const names = Array.from({ length: 1_000 }, (_, n) => `try-${String(n).padStart(3, '0')}.test`)
const atOnce = 25

let net: OpenAndClosed
let folder: string
beforeEach(async () => {
  net = await startOpenAndClosed((request, response) => {
    response.setHeader('connection', request.url === '/kept' ? 'keep-alive' : 'close')
    if (request.url === '/moved') response.writeHead(302, { location: '/' })
    response.end('reached')
  })
  folder = await mkdtemp(join(tmpdir(), 'millrace-rebinding-'))
})
afterEach(async () => {
  await net.close()
  await rm(folder, { recursive: true })
})

test('a thousand names that move after the check lead no webhook to a closed address', async () => {
  const answers: string[] = []
  await posting(sayAsNamed(), (post) =>
    forEach(names, async (name) => {
      // The first post asks twice, at its check and at its connect; the check holds for the others, which connect anew.
      for (const digit of digitsOf(name)) {
        const { kind } = await post.post(`http://${name}:${net.port}/`, {}, '{}')
        expect([name, digit, kind]).toEqual([name, digit, digit < 5 ? 'refused' : 'answered'])
        answers.push(kind)
      }
    }),
  )
  expect(answers).toHaveLength(3_000)
  expect(net.connections).toEqual({ open: 1_500, closed: 0 })
}, 60_000)

test('a thousand names that move after the check lead no input file to a closed address', async () => {
  const guard = createGuard({ allow: net.allow, loopback: false, resolve: sayAsNamed() })
  const refused = { reason: 'refused', message: 'The URL points at a host that this service may not call' }
  await forEach(names, async (name) => {
    // Four look-ups: a check and a connect, and both again for the redirect.
    const into = join(folder, name)
    const url = `http://${name}:${net.port}/moved`
    const fetched = fetchFile(guard, url, { maxBytes: 1_000, timeoutMs: 30_000 }, into)
    const outcome = await fetched.catch(({ reason, message }: FetchFileError) => ({ reason, message }))
    const stays = digitsOf(name).every((digit) => digit >= 5)
    expect([name, outcome]).toEqual([name, stays ? expect.objectContaining({ bytes: 7 }) : refused])
  })
  // Half of the names are open at the first connect; half of those at the check of the redirect and half at its connect.
  expect(net.connections).toEqual({ open: 500 + 125, closed: 0 })
}, 60_000)

test('a name that moves at every look-up leads none of the webhooks under way to a closed address', async () => {
  let asked = 0
  const flips = async () => {
    const addresses = asked++ % 2 === 0 ? [net.openAddress] : [net.closedAddress]
    await delay(Math.random() * 4) // so that answers overtake each other
    return resolved(addresses)
  }
  const kinds: string[] = []
  await posting(flips, (post) =>
    forEach(names, async (_, n) => {
      const path = n % 3 === 0 ? 'kept' : ''
      kinds.push((await post.post(`http://flips.test:${net.port}/${path}`, {}, '{}')).kind)
    }),
  )
  expect(new Set(kinds)).toEqual(new Set(['answered', 'refused']))
  expect(net.connections.closed).toBe(0)
})

async function posting(resolve: Resolve, work: (post: Post) => Promise<void>): Promise<void> {
  const guard = createGuard({ allow: net.allow, loopback: false, resolve })
  const post = createPost({ guard, timeoutMs: 30_000 })
  await work(post).finally(() => post.close())
}

function sayAsNamed(): Resolve {
  const closed = [
    [net.closedAddress],
    [net.openAddress, net.closedAddress],
    [net.closedAddress, net.openAddress],
    [`::ffff:127.0.0.2`],
    [],
  ]
  const asked = new Map<string, number>()
  return async (name) => {
    const times = asked.get(name) ?? 0
    asked.set(name, times + 1)
    const digit = times === 0 ? 9 : (digitsOf(name)[times - 1] ?? 0)
    return resolved(closed[digit] ?? [net.openAddress])
  }
}

function digitsOf(name: string): number[] {
  return [...name.replaceAll(/\D/g, '')].map(Number)
}

function resolved(addresses: string[]): ResolvedAddress[] {
  return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
}

async function forEach<T>(items: T[], work: (item: T, index: number) => Promise<void>): Promise<void> {
  const left = items.entries()
  const workers = Array.from({ length: atOnce }, async () => {
    for (const [index, item] of left) await work(item, index)
  })
  await Promise.all(workers)
}

type Resolve = (host: string) => Promise<ResolvedAddress[]>
