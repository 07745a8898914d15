import { createHash } from 'node:crypto'

/** Random numbers from 0 to 1 that are the same for the same words, everywhere and always (mulberry32 over SHA-256). */
export function randomFrom(...words: (string | number)[]): Random {
  let state = createHash('sha256').update(words.join('\n')).digest().readUInt32LE(0)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The next random number from 0 to 1. */
export type Random = () => number
