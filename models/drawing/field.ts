import type { Random } from './random.ts'

/**
 * A smooth random field over the unit square: a sum of waves, warped by itself. `time` goes from 0 to 1 and comes back
 * to where it began, so that moving pictures loop.
 */
export function waveField(random: Random, { waves, scale, motion = 0 }: FieldOptions): Field {
  const parts = Array.from({ length: waves }, (_, index) => {
    const turn = random() * Math.PI * 2
    const frequency = scale * 1.7 ** (index * 0.7)
    return {
      x: Math.cos(turn) * frequency,
      y: Math.sin(turn) * frequency,
      phase: random() * Math.PI * 2,
      speed: random() < 0.5 ? -1 : 1,
      height: 1 / (1 + index * 0.8),
    }
  })
  const total = parts.reduce((sum, { height }) => sum + height, 0)
  return (x, y, time = 0) => {
    let sum = 0
    for (const { x: fx, y: fy, phase, speed, height } of parts) {
      const bend = Math.sin(fy * x - fx * y + phase * 3) * 0.6
      sum +=
        height *
        Math.sin(fx * x + fy * y + phase + bend + motion * Math.sin((time * Math.PI * 2 + phase) * speed))
    }
    return sum / total
  }
}

/** How busy a field is, and how far it moves in time. */
export interface FieldOptions {
  waves: number
  scale: number
  motion?: number
}

/** A value from -1 to 1 at a place and time, all from 0 to 1. */
export type Field = (x: number, y: number, time?: number) => number
