import { isIP } from 'node:net'
import { createGuard, RefusedTargetError } from '@millrace/outbound/guard'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openUrls, refusedUrls, resolveAimed } from './aimed-urls.ts'
import { type ApiCaller, type ApiReply, callerOf, refusalOf } from './api-caller.ts'
import { type ApiHere, startApiHere } from './api-here.ts'
import { type Service, startService } from './harness/service.ts'

const guard = createGuard({ allow: [], loopback: false, closedPorts: [5432], resolve: resolveAimed })

let service: Service
let api: ApiHere
let call: ApiCaller
let endpoint: string
beforeAll(async () => {
  // Nobody runs or delivers what is accepted here: no packet leaves this machine.
  service = await startService({ queue: 'redis', apis: 0, workers: 0, dispatchers: 0 })
  api = await startApiHere(service, { guard })
  call = callerOf(api.url, service.apiKey)
  endpoint = (await call('POST /v1/webhooks', { body: { url: 'http://public.test/first' } })).body.id
})
afterAll(async () => {
  await api.close()
  await service.stop()
})

test('enough is tried', () => {
  expect(new Set(refusedUrls.map(([, url]) => url)).size).toBeGreaterThanOrEqual(600)
  expect(new Set(openUrls).size).toBeGreaterThanOrEqual(50)
})

describe.each<Place>([
  {
    what: 'the webhook of a prediction',
    request: () => 'POST /v1/predictions',
    body: (url) => ({ model: 'echo', input: {}, webhook: { url } }),
    refusal: { id: 'INVALID_WEBHOOK_URL', field: 'webhook.url' },
  },
  {
    what: 'a bare URL as webhook',
    request: () => 'POST /v1/predict',
    body: (url) => ({ model: 'echo', input: {}, webhook: url }),
    refusal: { id: 'INVALID_WEBHOOK_URL', field: 'webhook.url' },
  },
  {
    what: 'the webhook of a run',
    request: () => 'POST /v1/run',
    body: (url) => ({ model: 'echo', inputs: {}, async: true, webhook: { url } }),
    refusal: { id: 'INVALID_WEBHOOK_URL', field: 'webhook.url' },
  },
  {
    what: 'a webhook endpoint',
    request: () => 'POST /v1/webhooks',
    body: (url) => ({ url }),
    refusal: { id: 'INVALID_WEBHOOK_URL', field: 'url' },
  },
  {
    what: 'the new URL of a webhook endpoint',
    request: () => `PATCH /v1/webhooks/${endpoint}`,
    body: (url) => ({ url }),
    refusal: { id: 'INVALID_WEBHOOK_URL', field: 'url' },
  },
  {
    what: 'an input file',
    request: () => 'POST /v1/predictions',
    body: (url) => ({ model: 'upscale', input: { image: url } }),
    refusal: { id: 'INVALID_FILE_URL', field: 'input.image' },
    noUrl: { id: 'INVALID_INPUT', field: 'input.image' },
  },
])('as $what', (place) => {
  test('no URL that aims at a closed target is taken, and no answer tells what it aims at', async () => {
    const before = await stored()
    const replies = await inTurn(refusedUrls, async ([reason, url]) => ({
      reason,
      url,
      reply: await ask(place, url),
    }))

    for (const { url, reply } of replies) {
      const { id, field } = /^[a-z][a-z0-9+.-]*:/i.test(url) ? place.refusal : (place.noUrl ?? place.refusal)
      const { fields, ...refusal } = refusalOf(reply)
      expect([url, refusal, new Set(fields)]).toEqual([url, { status: 400, id }, new Set([field])])
    }
    const aimed = replies.filter(
      ({ reason, reply }) => /address|port/.test(reason) && refusalOf(reply).id === place.refusal.id,
    )
    expect(new Set(aimed.map(({ reply }) => reply.text)).size).toBe(1)
    expect(aimed.length).toBeGreaterThan(500)
    expect(await stored()).toEqual(before)
  })

  test('every open URL is taken', async () => {
    const statuses = await inTurn(openUrls, async (url) => [url, (await ask(place, url)).status < 300])
    expect(statuses).toEqual(openUrls.map((url) => [url, true]))
  })
})

test('a socket gets no address for a name that stands for a closed one', async () => {
  const hosts = refusedUrls.flatMap(([reason, url]) => (reason === 'address' ? new URL(url).hostname : []))
  const names = hosts.filter((host) => isIP(host.replaceAll(/[[\]]/g, '')) === 0)
  expect(names.length).toBeGreaterThan(20)
  for (const name of names) {
    await expect(lookUp(name, { all: true }), name).rejects.toThrow(RefusedTargetError)
    await expect(lookUp(name, {}), name).rejects.toThrow(RefusedTargetError)
  }
  expect(await lookUp('both.test', { all: true })).toEqual(await resolveAimed('both.test'))
})

function ask({ request, body }: Place, url: string): Promise<ApiReply> {
  return call(request(), { body: body(url), headers: { 'x-request-id': 'same' } })
}

async function stored() {
  const { rows } = await service.db.pool.query(
    `select (select count(*) from predictions) as predictions, (select count(*) from files) as files,
            (select json_agg(w order by id) from webhook_endpoints w) as endpoints`,
  )
  return rows[0]
}

function lookUp(name: string, options: { all?: true }): Promise<unknown> {
  return new Promise((resolve, reject) => {
    guard.lookup(name, options, (error, address) => (error ? reject(error) : resolve(address)))
  })
}

/** Ten at a time. */
async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < items.length; at += 10)
    results.push(...(await Promise.all(items.slice(at, at + 10).map(work))))
  return results
}

/** Where a caller may write a URL, and how it is refused; `noUrl` is for what does not even start like one. */
interface Place {
  what: string
  request: () => string
  body: (url: string) => object
  refusal: Refused
  noUrl?: Refused
}

interface Refused {
  id: string
  field: string
}
