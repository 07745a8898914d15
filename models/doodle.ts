import { randomInt } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import { defineModel } from '@millrace/models/define-model'
import { fileOutput } from '@millrace/models/schema'
import sharp from 'sharp'
import { z } from 'zod'
import { Canvas } from './drawing/canvas.ts'
import { randomFrom } from './drawing/random.ts'
import { paint } from './drawing/scene.ts'

export default defineModel({
  namespace: 'doodle',
  name: 'Doodle',
  type: 'image',
  description:
    'Paints a picture from a prompt: landscapes, currents, flowers. Procedural art and not AI: words of the prompt choose palette and subject, the seed does the rest.',
  capabilities: ['text-to-image'],
  input: z.object({
    prompt: z.string().min(1).max(2000).describe('What the picture is about'),
    seed: z
      .int()
      .min(0)
      .max(4_294_967_295)
      .optional()
      .describe('The same seed and prompt give the same picture; by chance when absent'),
    width: z.int().min(64).max(2048).default(768).describe('Width in pixels'),
    height: z.int().min(64).max(2048).default(768).describe('Height in pixels'),
    steps: z.int().min(1).max(200).default(40).describe('In how many steps it is painted'),
  }),
  output: z.array(fileOutput('The picture, a PNG')),
  async run({ prompt, seed = randomInt(2 ** 32), width, height, steps }, { signal, log, progress, file }) {
    log(`seed ${seed}`)
    const canvas = new Canvas(width, height)
    let step = 0
    for (const _ of paint(canvas, { prompt, seed, steps })) {
      step += 1
      progress((step / steps) * 95)
      await breathe()
      signal.throwIfAborted()
    }
    const bytes = canvas.develop(randomFrom('grain', seed))
    const png = await sharp(bytes, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer()
    return [await file(png, { name: `doodle-${seed}.png`, contentType: 'image/png' })]
  },
})
