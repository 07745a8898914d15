/**
 * The last line of a terminal: how long it takes by now and, once that is told, how far it is, with what is logged above
 * it. Where it is no terminal nothing is drawn, and the log is written as it comes.
 */
export function createProgressBar(stream: Terminal): ProgressBar {
  const started = performance.now()
  let state = 'starting'
  let unfinished = ''
  let ended = false
  const timer = stream.isTTY ? setInterval(draw, 100).unref() : undefined

  function draw(): void {
    if (!stream.isTTY || ended) return
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    stream.write(`${clear}${state}  ${seconds} s`)
  }

  return {
    begin() {
      if (state === 'starting') state = 'running'
      draw()
    },
    set(percent) {
      const done = Math.round((Math.min(100, Math.max(0, percent)) / 100) * width)
      state = `[${'█'.repeat(done)}${'░'.repeat(width - done)}] ${Math.round(percent)} %`
      draw()
    },
    above(text) {
      if (!stream.isTTY) return void stream.write(text)
      unfinished += text
      const whole = unfinished.slice(0, unfinished.lastIndexOf('\n') + 1)
      unfinished = unfinished.slice(whole.length)
      if (whole === '') return
      stream.write(`${clear}${whole}`)
      draw()
    },
    end() {
      if (ended) return
      ended = true
      clearInterval(timer)
      if (stream.isTTY) stream.write(clear + (unfinished === '' ? '' : `${unfinished}\n`))
    },
  }
}

const clear = '\r\u001B[K'
const width = 30

export interface ProgressBar {
  /** The model is set up, and works. */
  begin(): void
  set(percent: number): void
  /** Writes a text, and the bar again below it. */
  above(text: string): void
  /** The line is empty again, for good. */
  end(): void
}

interface Terminal {
  isTTY?: boolean
  write(text: string): unknown
}
