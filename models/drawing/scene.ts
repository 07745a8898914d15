import type { Canvas } from './canvas.ts'
import { paintBlooms } from './paint-blooms.ts'
import { paintCurrents } from './paint-currents.ts'
import { paintLandscape } from './paint-landscape.ts'
import { type Palette, paletteFor } from './palette.ts'
import { type Random, randomFrom } from './random.ts'

/**
 * Paints a picture of a prompt, in `steps` steps: yields after each. What is painted follows from prompt and seed
 * alone; `time`, from 0 to 1, is the moment of a moving picture.
 */
export function paint(canvas: Canvas, { prompt, seed, steps, time = 0 }: Scene): Generator<void> {
  const random = randomFrom(prompt, seed)
  const palette = paletteFor(prompt, random)
  const painter = painterFor(prompt, random)
  return painter({ canvas, palette, random, steps, time })
}

function painterFor(prompt: string, random: Random): Painter {
  const words = prompt.toLowerCase()
  const spoken = painters.filter(({ words: pattern }) => pattern.test(words))
  const from = spoken.length > 0 ? spoken : painters
  return (from[Math.floor(random() * from.length)] ?? { painter: paintCurrents }).painter
}

const painters = [
  {
    words:
      /mountain|hill|sunset|landscape|sea|lake|forest|desert|valley|horizon|moon|snow|river|canyon|volcano|night|ocean/,
    painter: paintLandscape,
  },
  {
    words: /flow|wind|wave|music|fire|dream|storm|abstract|river|galaxy|hair|smoke|current|neon/,
    painter: paintCurrents,
  },
  {
    words: /flower|bloom|garden|candy|planet|bubble|circle|happy|cat|birthday|balloon|city|shape/,
    painter: paintBlooms,
  },
]

/** What to paint. */
export interface Scene {
  prompt: string
  seed: number
  steps: number
  time?: number
}

/** What a painter works with. */
export interface Easel {
  canvas: Canvas
  palette: Palette
  random: Random
  steps: number
  time: number
}

type Painter = (easel: Easel) => Generator<void>
