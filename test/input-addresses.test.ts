import { expect, onTestFinished, test } from 'vitest'
import { givenRemoteModels } from './given-hosts.ts'
import { startJobsHost } from './hosts/jobs.ts'

test('a host that takes addresses gets the URL that its client gave, and a path for what no host could fetch', async () => {
  const host = await startJobsHost()
  onTestFinished(() => host.close())
  const file = { type: 'string', format: 'uri' }
  const { create } = await givenRemoteModels({
    far: {
      input_schema: { type: 'object', properties: { one: file, two: file } },
      provider: { kind: 'cog', url: host.url },
    },
  })
  // Nobody fetches it: there is nothing.
  const one = 'http://127.0.0.1:1/picture.png'

  await create('far', { input: { one, two: 'data:text/plain,hello' } })

  const [job] = await host.taken(1)
  expect(job?.input).toEqual({ one, two: expect.stringMatching(/^\/.*\/input\/1\.txt$/) })
}, 60_000)
