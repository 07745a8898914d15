/**
 * Whether one order of the calls under one idempotency key explains all their answers, and every call that ended before
 * another began stands before it there (linearizability, after Herlihy and Wing). Answers what is wrong, in words.
 *
 * The object is a register that is written once: the first create that takes effect fixes the body and the id; from then
 * on the same body is answered with that id and another one is refused. So there is nothing to search for. The one write
 * has to come before every answer that shows it: it is possible exactly if the call that wrote began before the first
 * of those had ended.
 */
export function disorderIn(calls: KeyCall[]): string | undefined {
  const accepted = calls.filter(({ answer }) => typeof answer === 'object')
  const refused = calls.filter(({ answer }) => answer === 'reused')
  const open = calls.filter(({ answer }) => answer === 'unknown')
  const ids = new Set(accepted.map(({ answer }) => (typeof answer === 'object' ? answer.id : '')))
  if (ids.size > 1) return `it was answered with ${[...ids].join(' and ')}`
  const bodies = new Set(accepted.map(({ body }) => body))
  if (bodies.size > 1) return `${bodies.size} bodies were accepted`
  const firsts = accepted.filter(({ answer }) => typeof answer === 'object' && !answer.replayed)
  if (firsts.length > 1) return `${firsts.length} creates were answered as the first`
  const wrongly = refused.find(({ body }) => bodies.has(body))
  if (wrongly) return `the body that was accepted was refused at ${wrongly.end}`
  const lonely = calls.find((call) => call.answer === 'in-progress' && !calls.some((one) => meets(one, call)))
  if (lonely) return `a create was told at ${lonely.end} that another was in progress, and none was`

  const shown = [...accepted, ...refused]
  if (shown.length === 0) return undefined
  // Who wrote: the one that says so, else one that was never answered.
  const writers = firsts.length > 0 ? firsts : open.filter(({ body }) => couldWrite(body, bodies, refused))
  if (writers.length === 0) return 'an answer shows a prediction that no create can have made'
  const earliest = Math.min(...writers.map(({ start }) => start))
  const early = shown.find(({ end }) => end < earliest)
  return early && `an answer at ${early.end} shows a prediction that nobody asked for before ${earliest}`
}

/** Where nothing was accepted, the body is any that was not refused. */
function couldWrite(body: string, accepted: Set<string>, refused: KeyCall[]): boolean {
  return accepted.size > 0 ? accepted.has(body) : !refused.some((one) => one.body === body)
}

/** Whether `one` may be under way during `call`: a create that was never answered may go on at any later time. */
function meets(one: KeyCall, call: KeyCall): boolean {
  return one !== call && one.start <= call.end && (one.end >= call.start || one.answer === 'unknown')
}

/** One create under the key, from the time it was sent to the time its answer was there. */
export interface KeyCall {
  body: string
  start: number
  end: number
  answer: KeyAnswer
}

/**
 * Accepted, with `replayed` for an answer that calls itself one that was given before; refused for its body; told that
 * another is in progress, which shows nothing and writes nothing; refused before the key counted; or never known: it may
 * have taken effect at any time since its start, or may not have.
 */
export type KeyAnswer = { id: string; replayed: boolean } | 'reused' | 'in-progress' | 'refused' | 'unknown'
