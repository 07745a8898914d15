import type { Colour } from './palette.ts'

/** A sheet of paint: colours as floats, so that hundreds of thin layers add up without bands. */
export class Canvas {
  readonly width: number
  readonly height: number
  readonly #paint: Float32Array

  constructor(width: number, height: number) {
    this.width = width
    this.height = height
    this.#paint = new Float32Array(width * height * 3)
  }

  /** Colours every pixel; `part` 0 leaves what is there, 1 covers it. */
  cover(at: (x: number, y: number) => { colour: Colour; part: number }): void {
    for (let y = 0; y < this.height; y += 1) {
      for (let x = 0; x < this.width; x += 1) {
        const { colour, part } = at(x, y)
        this.#blend((y * this.width + x) * 3, colour, part)
      }
    }
  }

  /** A round touch of a brush. `hardness` 1 has a sharp edge, 0 fades from the middle. */
  dab(x: number, y: number, radius: number, colour: Colour, part: number, hardness = 0.5): void {
    const reach = radius + 1
    const inner = radius * hardness
    const fade = Math.max(1, radius - inner)
    const [left, right] = [Math.max(0, Math.ceil(x - reach)), Math.min(this.width - 1, Math.floor(x + reach))]
    const [top, bottom] = [
      Math.max(0, Math.ceil(y - reach)),
      Math.min(this.height - 1, Math.floor(y + reach)),
    ]
    for (let row = top; row <= bottom; row += 1) {
      for (let column = left; column <= right; column += 1) {
        const away = Math.hypot(column - x, row - y)
        const edge = Math.min(1, Math.max(0, 1 - (away - inner) / fade))
        if (edge > 0) {
          this.#blend((row * this.width + column) * 3, colour, part * edge * edge * (3 - 2 * edge))
        }
      }
    }
  }

  /** Fills below a line, one height per column, with an even edge; `colour` may change with the depth below it. */
  fillBelow(line: (x: number) => number, colour: (depth: number, x: number) => Colour): void {
    for (let x = 0; x < this.width; x += 1) {
      const edge = line(x)
      for (let y = Math.max(0, Math.floor(edge)); y < this.height; y += 1) {
        this.#blend((y * this.width + x) * 3, colour((y - edge) / this.height, x), Math.min(1, y + 1 - edge))
      }
    }
  }

  /** The finished picture: darker corners, the grain of paper, eight bits a colour. */
  develop(grain: () => number): Buffer {
    const bytes = Buffer.allocUnsafe(this.#paint.length)
    for (let y = 0, at = 0; y < this.height; y += 1) {
      for (let x = 0; x < this.width; x += 1) {
        const away = Math.hypot(x / this.width - 0.5, y / this.height - 0.5)
        const light = 1.02 - 0.42 * away ** 2.4
        const speck = (grain() + grain() - 1) * 7
        for (let channel = 0; channel < 3; channel += 1, at += 1) {
          bytes[at] = Math.min(255, Math.max(0, Math.round((this.#paint[at] ?? 0) * light + speck)))
        }
      }
    }
    return bytes
  }

  #blend(at: number, [red, green, blue]: Colour, part: number): void {
    const paint = this.#paint
    const rest = 1 - part
    paint[at] = (paint[at] ?? 0) * rest + red * part
    paint[at + 1] = (paint[at + 1] ?? 0) * rest + green * part
    paint[at + 2] = (paint[at + 2] ?? 0) * rest + blue * part
  }
}
