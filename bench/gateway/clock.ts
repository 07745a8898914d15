/** Milliseconds on the machine's steady clock: the same in every process, so one can subtract what another wrote down. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

/** The present moment as a word of 18 signs that no gateway has a reason to change. */
export function stamp(): string {
  return `@${Math.round(now() * 1000)
    .toString()
    .padStart(16, '0')}@`
}

/** Finds stamps in a text that comes in pieces: `read` answers the moments that became whole with this piece. */
export function stampReader(): { read(piece: string): number[] } {
  let rest = ''
  return {
    read(piece) {
      const text = rest + piece
      const moments: number[] = []
      let end = 0
      for (const match of text.matchAll(/@(\d{16})@/g)) {
        moments.push(Number(match[1]) / 1000)
        end = match.index + match[0].length
      }
      rest = text.slice(Math.max(end, text.length - 17))
      return moments
    },
  }
}
