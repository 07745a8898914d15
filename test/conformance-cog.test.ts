import { openHost } from './hosts/cog.ts'
import { conforms } from './provider-conformance.ts'

// A model of its own yields a file for each word. Its connection carries the run: only what reports outlasts a worker.
const traits = { keepsJobs: false, fileBytes: () => Buffer.from('what') }

conforms('cog, over a stream', async () => ({ ...(await openHost()), ...traits }))
conforms('cog whose model does not stream', async () => ({
  ...(await openHost({ streaming: false })),
  ...traits,
  cannot: ['policy', 'stream'],
}))
