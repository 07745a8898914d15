import { defineModel } from '@millrace/models/define-model'
import { z } from 'zod'

export default defineModel({
  namespace: 'patient',
  name: 'Patience',
  type: 'text',
  description: 'Runs until it is stopped.',
  concurrency: 50,
  input: z.object({}),
  run: (_, { signal }) =>
    new Promise<string>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('stopped')))
    }),
})
