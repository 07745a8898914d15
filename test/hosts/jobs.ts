import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { until } from '../harness/wait.ts'

/** A host that takes jobs, works on each until it is told to finish it, and lets them be asked for and cancelled. */
export async function startJobsHost(): Promise<JobsHost> {
  const jobs: HostedJob[] = []
  let isDown = false
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const [, , id = '', action] = (request.url ?? '').split('/')
    const body = request.method === 'POST' ? await json(request).catch(() => ({})) : {}
    if (isDown) return answer(503, { error: 'Nobody is here' })
    if (request.method === 'POST' && id === '') {
      const { input, callback } = body as Pick<HostedJob, 'input' | 'callback'>
      const made: HostedJob = { id: `job-${jobs.length + 1}`, input, callback, state: 'working', polls: 0 }
      jobs.push(made)
      return answer(201, { id: made.id })
    }
    const job = jobs.find((one) => one.id === id)
    if (!job) return answer(404, { error: 'There is no such job' })
    if (action === 'cancel' && job.state === 'working') job.state = 'cancelled'
    else job.polls++
    return answer(200, { state: job.state, output: job.output })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    jobs,
    taken: (count) => until(() => jobs.length >= count && jobs, { within: 20_000, what: `${count} jobs` }),
    finish(output) {
      for (const job of jobs) if (job.state === 'working') Object.assign(job, { state: 'done', output })
    },
    setDown(down) {
      isDown = down
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface JobsHost {
  url: string
  jobs: HostedJob[]
  /** Waits until so many jobs have come. */
  taken(count: number): Promise<HostedJob[]>
  /** All that it works on. */
  finish(output: unknown): void
  setDown(down: boolean): void
  close(): Promise<void>
}

interface HostedJob {
  id: string
  input: unknown
  callback?: string | undefined
  state: 'working' | 'done' | 'cancelled'
  polls: number
  output?: unknown
}
