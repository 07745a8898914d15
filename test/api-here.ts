import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createListener } from '@millrace/api/app'
import { readConfig } from '@millrace/api/config'
import { type Context, openContext } from '@millrace/api/context'
import { createLog } from '@millrace/process/log'
import type { Service } from './harness/service.ts'

/** The API of a service in this process, where a test can reach inside: to give it another name server, say. */
export async function startApiHere(
  { environment }: Service,
  changes: Partial<Context> = {},
): Promise<ApiHere> {
  const log = createLog({ name: 'test', level: 'silent' })
  const context = { ...(await openContext(readConfig(environment), log)), ...changes }
  const server = createServer(createListener(context)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    context,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      server.close()
      await context.close()
    },
  }
}

export interface ApiHere {
  context: Context
  url: string
  close(): Promise<void>
}
