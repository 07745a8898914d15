import type { Canvas } from './canvas.ts'
import { waveField } from './field.ts'
import { inSteps } from './paint-landscape.ts'
import { along, type Colour, mix } from './palette.ts'
import type { Random } from './random.ts'
import type { Easel } from './scene.ts'

/** Round flowers of many petals that fill the sheet without touching, each with its shadow; each step paints some. */
export function* paintBlooms({ canvas, palette, random, steps, time }: Easel): Generator<void> {
  const { width, height } = canvas
  const wash = waveField(random, { waves: 5, scale: 4, motion: 0.4 })
  const paper = palette.sky.at(-1) ?? [250, 245, 235]
  canvas.cover((x, y) => ({
    colour: mix(paper, along(palette.sky, 0.5 + 0.4 * wash(x / width, y / height, time)), 0.4),
    part: 1,
  }))
  const inks = [...palette.land, ...palette.sky.slice(0, -1), ...palette.accent.slice(1)]
  const strokes = packCircles(random, width, height).map((circle) => {
    const bloom = { ...circle, ...recipe(random, inks, palette.accent) }
    const sway = Math.sin(time * Math.PI * 2 + bloom.turn)
    return () =>
      paintBloom(
        canvas,
        { ...bloom, turn: bloom.turn + sway * 0.12, y: bloom.y + sway * circle.r * 0.04 },
        palette.land.at(-1) ?? [0, 0, 0],
      )
  })
  yield* inSteps(strokes, steps)
}

function recipe(random: Random, inks: Colour[], accents: Colour[]) {
  const pick = (from: Colour[]): Colour => from[Math.floor(random() * from.length)] ?? [0, 0, 0]
  return {
    petals: 7 + Math.floor(random() * 9),
    rings: 3 + Math.floor(random() * 3),
    turn: random() * Math.PI * 2,
    outer: pick(inks),
    inner: mix(pick(inks), pick(accents), 0.55),
    heart: pick(accents),
  }
}

function paintBloom(
  canvas: Canvas,
  { x, y, r, petals, rings, turn, outer, inner, heart }: Bloom,
  shade: Colour,
): void {
  canvas.dab(x + r * 0.08, y + r * 0.14, r * 1.08, shade, 0.2, 0.55)
  for (let ring = 0; ring < rings; ring += 1) {
    const depth = ring / rings
    const reach = r * (1 - depth * 0.72)
    const petal = Math.max(1, (reach * Math.PI) / petals / 1.25)
    const tone = mix(outer, inner, depth)
    for (let index = 0; index < petals; index += 1) {
      const angle = turn * (ring % 2 === 0 ? 1 : -1) + ((index + (ring % 2) / 2) / petals) * Math.PI * 2
      paintPetal(canvas, {
        x,
        y,
        angle,
        reach: reach - petal,
        size: petal,
        tone: mix(tone, shade, (index % 2) * 0.07),
        shade,
      })
    }
  }
  canvas.dab(x, y, r * 0.17, shade, 0.3, 0.6)
  canvas.dab(x, y, r * 0.14, heart, 0.95, 0.85)
}

/** Touches from the heart outward, growing: the shape of a petal, with a rim of shade under it. */
function paintPetal(canvas: Canvas, { x, y, angle, reach, size, tone, shade }: Petal): void {
  for (let touch = 0; touch <= 6; touch += 1) {
    const along = 0.25 + (touch / 6) * 0.75
    const [px, py, thick] = [
      x + Math.cos(angle) * reach * along,
      y + Math.sin(angle) * reach * along,
      size * (0.45 + 0.55 * along),
    ]
    canvas.dab(px, py + thick * 0.08, thick * 1.05, shade, 0.05, 0.8)
    canvas.dab(px, py, thick, mix(tone, [255, 255, 255], along * 0.1), 0.62, 0.86)
  }
}

/** Circles by chance, large ones first, none over another. */
function packCircles(random: Random, width: number, height: number): Circle[] {
  const circles: Circle[] = []
  const unit = Math.min(width, height)
  for (let attempt = 0; attempt < 2600; attempt += 1) {
    const limit = unit * (0.15 - 0.125 * Math.min(1, attempt / 1600))
    const [x, y] = [random() * width, random() * height]
    const room = circles.reduce(
      (least, circle) => Math.min(least, Math.hypot(circle.x - x, circle.y - y) - circle.r),
      Number.POSITIVE_INFINITY,
    )
    const r = Math.min(limit, room - unit * 0.004)
    if (r > unit * 0.012) {
      circles.push({ x, y, r })
    }
  }
  return circles
}

interface Circle {
  x: number
  y: number
  r: number
}

interface Bloom extends Circle {
  petals: number
  rings: number
  turn: number
  outer: Colour
  inner: Colour
  heart: Colour
}

interface Petal {
  x: number
  y: number
  angle: number
  reach: number
  size: number
  tone: Colour
  shade: Colour
}
