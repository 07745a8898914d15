/** Something the person who typed the command can put right. Shown as two lines of text, never as a stack trace. */
export class StartProblem extends Error {
  override readonly name = 'StartProblem'
  readonly advice: string

  constructor(message: string, advice: string) {
    super(message)
    this.advice = advice
  }
}
