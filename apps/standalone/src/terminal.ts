import { styleText } from 'node:util'
import type { StartProblem } from './start-problem.ts'

/** What a person sees: steps while it starts, news and warnings while it runs. Colours only where they are shown. */
export function createTerminal(): Terminal {
  return {
    print: (text) => console.log(text),
    step: (text) => console.log(`  ${styleText('dim', '·')} ${text}`),
    tell: (mark, text) =>
      console.log(`  ${timeNow()} ${styleText(mark === '+' ? 'green' : 'yellow', mark)} ${text}`),
    warn: (source, text) => console.error(`  ${timeNow()} ${styleText('yellow', source)} ${text}`),
    problem({ message, advice }: StartProblem) {
      console.error(`\n${styleText('red', message)}\n${advice}\n`)
    },
    strong: (text) => styleText('bold', text),
    quiet: (text) => styleText('dim', text),
  }
}

function timeNow(): string {
  return styleText('dim', new Date().toTimeString().slice(0, 8))
}

export interface Terminal {
  print(text: string): void
  step(text: string): void
  /** News that is no warning, behind a sign such as `+`. */
  tell(mark: string, text: string): void
  warn(source: string, text: string): void
  problem(problem: StartProblem): void
  strong(text: string): string
  quiet(text: string): string
}
