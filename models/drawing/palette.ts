import type { Random } from './random.ts'

/** The colours of a picture: those its prompt speaks of, else one of the palettes by chance. */
export function paletteFor(prompt: string, random: Random): Palette {
  const words = prompt.toLowerCase()
  const spoken = palettes.filter(({ words: pattern }) => pattern.test(words))
  const from = spoken.length > 0 ? spoken : palettes
  const { sky, land, accent } = from[Math.floor(random() * from.length)] ?? fallback
  return { sky: sky.map(colour), land: land.map(colour), accent: accent.map(colour) }
}

/** A colour between two, `part` of the way to the second. */
export function mix(from: Colour, to: Colour, part: number): Colour {
  return [
    from[0] + (to[0] - from[0]) * part,
    from[1] + (to[1] - from[1]) * part,
    from[2] + (to[2] - from[2]) * part,
  ]
}

/** The colour at a place from 0 to 1 along a row of colours. */
export function along(colours: readonly Colour[], place: number): Colour {
  const scaled = Math.min(0.9999, Math.max(0, place)) * (colours.length - 1)
  const index = Math.floor(scaled)
  const from = colours[index] ?? [0, 0, 0]
  return mix(from, colours[index + 1] ?? from, scaled - index)
}

function colour(hex: string): Colour {
  const value = Number.parseInt(hex, 16)
  return [value >> 16, (value >> 8) & 255, value & 255]
}

const fallback = {
  sky: ['1b2a49', '6a6fa8', 'f3b6a0'],
  land: ['7c7fa8', '454a75', '161b33'],
  accent: ['fff1d6', 'ffb38a'],
}

/** Sky from the top down, land from far to near, accents for light. */
const palettes = [
  {
    words: /sunset|dusk|evening|desert|warm|orange|autumn|fall|canyon/,
    sky: ['2d1b4e', '8e3b6e', 'e8685a', 'f9b16e', 'fde4a9'],
    land: ['c77a72', '8e4a62', '57304f', '2a1a33'],
    accent: ['fff3cf', 'ffcf7d', 'f4845f'],
  },
  {
    words: /sea|ocean|water|wave|lake|river|rain|blue|ship|boat|fish/,
    sky: ['0d3b66', '2f7ea6', '8cc9d6', 'e9f2e4'],
    land: ['78b3bf', '3b8397', '1c5570', '0a2a43'],
    accent: ['fffbe8', 'f4d58d', 'ee964b'],
  },
  {
    words: /forest|tree|wood|green|jungle|garden|leaf|leaves|spring|grass|hill/,
    sky: ['7fb7be', 'b8d8ba', 'e8ecc8', 'fcf3d4'],
    land: ['a3bf8f', '6b9a6e', '3a6b50', '17392f'],
    accent: ['fff6c9', 'f2cc8f', 'e07a5f'],
  },
  {
    words: /night|moon|star|dark|space|galaxy|dream|midnight|cosmos/,
    sky: ['070b21', '141c4b', '343f86', '7d6fb0'],
    land: ['49508f', '2c3268', '171b42', '080a1f'],
    accent: ['fdf6dd', 'c9d4ff', 'f2a6c8'],
  },
  {
    words: /winter|snow|ice|cold|mountain|alps|frost|white|arctic/,
    sky: ['5b7fa6', '9db8d2', 'd9e2ec', 'f8ede6'],
    land: ['b9c8dc', '8299bb', '4c6389', '22314f'],
    accent: ['ffffff', 'ffd9c2', 'f5b7a5'],
  },
  {
    words: /fire|lava|volcano|red|dragon|hot|anger|ember/,
    sky: ['1d0b14', '5c1227', 'b3272b', 'f0742e', 'ffcb5c'],
    land: ['9c3430', '631c2a', '36101f', '12060d'],
    accent: ['fff0b8', 'ffb347', 'ff6b35'],
  },
  {
    words: /candy|flower|bloom|pink|love|rose|happy|sweet|cat|birthday|cherry/,
    sky: ['8e7cc3', 'd79ac8', 'f7b7c5', 'ffe3d3'],
    land: ['d596b8', 'a0669f', '6a4483', '352458'],
    accent: ['fffaf0', 'ffd166', 'ef6f8f'],
  },
  {
    words: /city|neon|cyber|robot|machine|future|electric|synth|music|jazz/,
    sky: ['0b0724', '2d0f5e', '7b1fa2', 'f0449b', 'ffb86b'],
    land: ['6d2a9c', '40197a', '200d4d', '0a0420'],
    accent: ['e0fbff', '3ce0ff', 'ff5fc4'],
  },
]

/** Red, green, blue from 0 to 255. */
export type Colour = readonly [number, number, number]

/** What a picture is painted with. */
export interface Palette {
  sky: Colour[]
  land: Colour[]
  accent: Colour[]
}
