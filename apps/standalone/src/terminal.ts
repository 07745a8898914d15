import { styleText } from 'node:util'
import type { StartProblem } from './start-problem.ts'

/** What a person sees: steps while it starts, warnings while it runs. Colours only where they are shown. */
export function createTerminal(): Terminal {
  return {
    print: (text) => console.log(text),
    step: (text) => console.log(`  ${styleText('dim', '·')} ${text}`),
    warn(source, text) {
      const time = new Date().toTimeString().slice(0, 8)
      console.error(`  ${styleText('dim', time)} ${styleText('yellow', source)} ${text}`)
    },
    problem({ message, advice }: StartProblem) {
      console.error(`\n${styleText('red', message)}\n${advice}\n`)
    },
    strong: (text) => styleText('bold', text),
    quiet: (text) => styleText('dim', text),
  }
}

export interface Terminal {
  print(text: string): void
  step(text: string): void
  warn(source: string, text: string): void
  problem(problem: StartProblem): void
  strong(text: string): string
  quiet(text: string): string
}
