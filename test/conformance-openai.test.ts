import { openHost } from './hosts/openai.ts'
import { conforms } from './provider-conformance.ts'

// The other surfaces answer with files, whatever they are asked: kind-openai.test.ts holds them to the same.
conforms('openai', async () => ({ ...(await openHost('transcriptions')), keepsJobs: false }))
