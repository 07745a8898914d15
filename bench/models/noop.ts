import { defineModel } from '@millrace/models/define-model'
import { z } from 'zod'

export default defineModel({
  namespace: 'noop',
  name: 'Nothing',
  type: 'text',
  description: 'Does nothing, at once.',
  concurrency: 50,
  input: z.object({ prompt: z.string() }),
  output: z.object({ prompt: z.string() }),
  run: (input) => input,
})
