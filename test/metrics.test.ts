import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { joinMetrics } from '@millrace/standalone/joined-metrics'
import { expect, test } from 'vitest'

test('the metrics of several processes are one text with each family once and each sample labelled', async () => {
  const api = await serving('# HELP up Is it up\n# TYPE up gauge\nup 1\n')
  const worker = await serving(
    '# HELP up Is it up\n# TYPE up gauge\nup{pool="a"} 0\n# HELP runs Runs\n# TYPE runs counter\nruns 3\n',
  )

  const text = await joinMetrics([
    { name: 'api', url: api.url },
    { name: 'worker', url: worker.url },
    { name: 'dispatcher', url: 'http://127.0.0.1:1/metrics' },
  ])

  expect(text).toBe(
    '# HELP up Is it up\n# TYPE up gauge\nup{process="api"} 1\nup{process="worker",pool="a"} 0\n\n' +
      '# HELP runs Runs\n# TYPE runs counter\nruns{process="worker"} 3\n',
  )
  api.close()
  worker.close()
})

async function serving(text: string): Promise<{ url: string; close(): void }> {
  const server = createServer((_, response) => response.end(text)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`,
    close: () => server.close(),
  }
}
