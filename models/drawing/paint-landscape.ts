import type { Canvas } from './canvas.ts'
import { waveField } from './field.ts'
import { along, type Colour, mix } from './palette.ts'
import type { Easel } from './scene.ts'

/** Sky, a sun with its glow, clouds, and ridges that fade with distance; each step paints on the next of them. */
export function* paintLandscape({ canvas, palette, random, steps, time }: Easel): Generator<void> {
  const { width, height } = canvas
  const unit = Math.min(width, height)
  const horizon = 0.5 + random() * 0.14
  const sun = {
    x: (0.2 + random() * 0.6) * width,
    y: (horizon - 0.08 - random() * 0.24) * height,
    r: (0.055 + random() * 0.05) * unit,
  }
  const light = palette.accent[0] ?? [255, 255, 255]
  const strokes: (() => void)[] = []

  canvas.cover((_, y) => ({ colour: along(palette.sky, y / (height * (horizon + 0.12))), part: 1 }))
  for (let ring = 9; ring >= 1; ring -= 1) {
    strokes.push(() => canvas.dab(sun.x, sun.y, sun.r * (1 + ring * ring * 0.16), light, 0.075, 0))
  }
  strokes.push(() => canvas.dab(sun.x, sun.y, sun.r, light, 0.96, 0.97))

  const drift = waveField(random, { waves: 5, scale: 5, motion: 0.6 })
  const clouds = 34 + Math.floor(random() * 30)
  for (let cloud = 0; cloud < clouds; cloud += 1) {
    const [x, y, length, shade] = [
      random(),
      random() ** 0.8 * horizon * 0.9,
      0.06 + random() * 0.24,
      random(),
    ]
    strokes.push(() =>
      paintCloud(
        canvas,
        {
          x: x + 0.04 * Math.sin(time * Math.PI * 2 + y * 20),
          y,
          length,
          colour: mix(along(palette.sky, 0.55 + shade * 0.45), light, 0.35),
        },
        drift,
        time,
      ),
    )
  }

  const ridges = 5 + Math.floor(random() * 3)
  for (let ridge = 0; ridge < ridges; ridge += 1) {
    const near = ridge / (ridges - 1)
    const shape = waveField(random, { waves: 7, scale: 3.5 + (1 - near) * 5 })
    const rough = waveField(random, { waves: 6, scale: 40 + random() * 30 })
    const base = horizon + near ** 1.35 * (0.93 - horizon)
    const rise = 0.05 + (1 - Math.abs(near - 0.35)) * 0.085
    const colour = along(palette.land, near)
    const mist = along(palette.sky, 0.85)
    const line = (x: number) =>
      (base -
        rise * (0.4 + shape(x / width, ridge * 1.7 + 0.015 * Math.sin(time * Math.PI * 2))) -
        rise * 0.07 * rough(x / width, ridge)) *
      height
    strokes.push(() =>
      canvas.fillBelow(line, (depth, x) => {
        const glow =
          Math.max(0, 1 - Math.abs(x - sun.x) / (width * 0.5)) *
          Math.max(0, 1 - depth * 24) *
          0.3 *
          (1 - near * 0.6)
        return mix(mix(colour, mist, Math.min(0.62, depth * 4.2) * (1 - near) ** 0.8), light, glow)
      }),
    )
    for (let mark = 0; mark < 16; mark += 1) {
      const [at, sink, length] = [random(), random() ** 1.6, 0.03 + random() * 0.12]
      const tone = mix(
        colour,
        random() < 0.5 ? light : (palette.land.at(-1) ?? colour),
        0.1 + random() * 0.12,
      )
      strokes.push(() => paintContour(canvas, { at, length, sink: sink * 0.14 * (0.3 + near), tone }, line))
    }
  }
  yield* inSteps(strokes, steps)
}

function paintCloud(
  canvas: Canvas,
  { x, y, length, colour }: Cloud,
  drift: (x: number, y: number, time: number) => number,
  time: number,
): void {
  const touches = 26
  for (let touch = 0; touch < touches; touch += 1) {
    const along = touch / (touches - 1)
    const swell = Math.sin(along * Math.PI) ** 0.8
    const px = x + (along - 0.5) * length
    const py = y + 0.012 * drift(px * 2, y * 4, time)
    canvas.dab(
      px * canvas.width,
      py * canvas.height,
      (0.002 + 0.011 * swell) * canvas.height,
      colour,
      0.085,
      0.1,
    )
  }
}

/** A brush stroke that follows the ridge it lies on. */
function paintContour(
  canvas: Canvas,
  { at, length, sink, tone }: Contour,
  line: (x: number) => number,
): void {
  const from = (at - length / 2) * canvas.width
  const touches = Math.ceil((length * canvas.width) / 2)
  for (let touch = 0; touch < touches; touch += 1) {
    const x = from + touch * 2
    const swell = Math.sin((touch / touches) * Math.PI)
    canvas.dab(
      x,
      line(x) + sink * canvas.height,
      0.6 + 0.0026 * canvas.height * swell,
      tone,
      0.16 * swell,
      0.3,
    )
  }
}

/** Does the strokes in order, in as many steps as were asked for. */
export function* inSteps(strokes: (() => void)[], steps: number): Generator<void> {
  for (let step = 0; step < steps; step += 1) {
    const [from, to] = [step, step + 1].map((edge) => Math.round((edge * strokes.length) / steps))
    for (const stroke of strokes.slice(from, to)) {
      stroke()
    }
    yield
  }
}

interface Cloud {
  x: number
  y: number
  length: number
  colour: Colour
}

interface Contour {
  at: number
  length: number
  sink: number
  tone: Colour
}
