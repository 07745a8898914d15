/** A bar on the last line of a terminal, with what is logged above it. Where it is no terminal there is no bar. */
export function createProgressBar(stream: Terminal): ProgressBar {
  const started = performance.now()
  let shown = ''

  function draw(text: string): void {
    if (!stream.isTTY) return
    if (shown !== '' || text !== '') stream.write(`\r\u001B[K${text}`)
    shown = text
  }

  return {
    set(percent) {
      const done = Math.round((percent / 100) * width)
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      draw(`[${'█'.repeat(done)}${'░'.repeat(width - done)}] ${Math.round(percent)} %  ${seconds} s`)
    },
    above(text) {
      const bar = shown
      draw('')
      stream.write(bar === '' || text.endsWith('\n') ? text : `${text}\n`)
      if (bar !== '') draw(bar)
    },
    end: () => draw(''),
  }
}

const width = 30

export interface ProgressBar {
  set(percent: number): void
  /** Writes a text, and the bar again below it. */
  above(text: string): void
  /** The line is empty again. */
  end(): void
}

interface Terminal {
  isTTY?: boolean
  write(text: string): unknown
}
