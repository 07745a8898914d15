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
  namespace: 'doodle-video',
  name: 'Doodle video',
  type: 'video',
  description:
    'Paints a moving picture from a prompt, an animated WebP that loops. Procedural art like doodle, and not AI.',
  capabilities: ['text-to-video'],
  input: z.object({
    prompt: z.string().min(1).max(2000).describe('What the picture is about'),
    seed: z
      .int()
      .min(0)
      .max(4_294_967_295)
      .optional()
      .describe('The same seed and prompt give the same picture; by chance when absent'),
    width: z.int().min(64).max(768).default(320).describe('Width in pixels'),
    height: z.int().min(64).max(768).default(320).describe('Height in pixels'),
    steps: z.int().min(1).max(200).default(20).describe('In how many steps each frame is painted'),
    frames: z.int().min(2).max(60).default(20).describe('How many frames the loop has'),
  }),
  output: z.array(fileOutput('The moving picture, an animated WebP')),
  async run(
    { prompt, seed = randomInt(2 ** 32), width, height, steps, frames },
    { signal, log, progress, file },
  ) {
    log(`seed ${seed}`)
    const painted: Buffer[] = []
    for (let frame = 0; frame < frames; frame += 1) {
      const canvas = new Canvas(width, height)
      for (const _ of paint(canvas, { prompt, seed, steps, time: frame / frames })) {
        await breathe()
        signal.throwIfAborted()
      }
      painted.push(canvas.develop(randomFrom('grain', seed)))
      progress(((frame + 1) / frames) * 90)
    }
    const sheet = { width, height: height * frames, channels: 3 as const, pageHeight: height }
    const webp = await sharp(Buffer.concat(painted), { raw: sheet })
      .webp({ quality: 80, loop: 0, delay: FRAME_MS, effort: 3 })
      .toBuffer()
    return [await file(webp, { name: `doodle-${seed}.webp`, contentType: 'image/webp' })]
  },
})

const FRAME_MS = 90
