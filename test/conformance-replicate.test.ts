import { openHost } from './hosts/replicate.ts'
import { conforms } from './provider-conformance.ts'

conforms('replicate', () => openHost())
conforms('replicate whose model does not stream', async () => ({
  ...(await openHost({ streams: false })),
  cannot: ['stream'],
}))
