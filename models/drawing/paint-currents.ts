import { waveField } from './field.ts'
import { along, mix } from './palette.ts'
import type { Easel } from './scene.ts'

/** Thousands of strokes that follow an invisible current; each step adds strokes, from broad and dark to fine and bright. */
export function* paintCurrents({ canvas, palette, random, steps, time }: Easel): Generator<void> {
  const { width, height } = canvas
  const unit = Math.min(width, height)
  const flow = waveField(random, { waves: 5, scale: 2.4 + random() * 2.2, motion: 0.35 })
  const hue = waveField(random, { waves: 4, scale: 3, motion: 0.5 })
  const turns = 0.9 + random() * 1.1
  const heading = random() * Math.PI * 2
  const colours = [...palette.land].reverse().concat(palette.sky, palette.accent.slice(0, 1))
  const ground = palette.land.at(-1) ?? [20, 20, 30]
  canvas.cover((x, y) => ({
    colour: mix(ground, along(palette.sky, y / height), 0.28 + 0.16 * hue(x / width, y / height, time)),
    part: 1,
  }))

  const perStep = Math.max(4, Math.round(2600 / steps))
  for (let step = 0; step < steps; step += 1) {
    const late = step / steps
    for (let stroke = 0; stroke < perStep; stroke += 1) {
      let [x, y] = [random() * 1.2 - 0.1, random() * 1.2 - 0.1]
      const tone = along(colours, 0.5 + 0.46 * hue(x, y, time) + (random() - 0.5) * 0.2 + late * 0.12)
      const bright = random() < 0.05 + late * 0.12
      const colour = bright ? (palette.accent[Math.floor(random() * palette.accent.length)] ?? tone) : tone
      const thick = (bright ? 0.0011 : 0.0016 + (1 - late) * 0.0075 * random()) * unit + 0.5
      const stride = Math.max(0.9, thick * 0.55)
      const touches = Math.round(((0.05 + random() * 0.2) * unit) / stride)
      for (let touch = 0; touch < touches; touch += 1) {
        const angle = heading + flow(x, y, time) * Math.PI * turns
        x += (Math.cos(angle) * stride) / width
        y += (Math.sin(angle) * stride) / height
        const swell = Math.sin((touch / touches) * Math.PI)
        canvas.dab(
          x * width,
          y * height,
          thick * (0.35 + 0.65 * swell),
          colour,
          (bright ? 0.6 : 0.34) * swell,
          0.55,
        )
      }
    }
    yield
  }
}
