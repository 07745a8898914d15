/**
 * Judges what goes in and what comes out. The shipped one (`passAll`) finds everything safe; `createModeration` asks a
 * host. Throws `InferenceFault` where it cannot judge: what nobody looked at is not let through.
 */
export interface SafetyFilter {
  /** Whether judging takes time at all; where it does not, streams are not held for it. */
  looks: boolean
  /** What a caller sends. A filtered prompt is refused before anything is run. */
  prompt(texts: readonly string[], call: SafetyCall): Promise<Verdict>
  /** What a model said. */
  completion(text: string, call: SafetyCall): Promise<Verdict>
  /** A picture, by its URL or data URL. */
  image(url: string, call: SafetyCall): Promise<Verdict>
}

/** For each category whether it was found, and how much of it. */
export type Verdict = Record<SafetyCategory, { filtered: boolean; severity: Severity }>

export type SafetyCategory = 'hate' | 'self_harm' | 'sexual' | 'violence'

export type Severity = 'safe' | 'low' | 'medium' | 'high'

export interface SafetyCall {
  signal: AbortSignal
}

/** Nothing was found. */
export const safe: Verdict = Object.freeze({
  hate: { filtered: false, severity: 'safe' },
  self_harm: { filtered: false, severity: 'safe' },
  sexual: { filtered: false, severity: 'safe' },
  violence: { filtered: false, severity: 'safe' },
})

/** Whether any category forbids it. */
export function isFiltered(verdict: Verdict): boolean {
  return Object.values(verdict).some(({ filtered }) => filtered)
}

/** The categories that forbid it, for a person. */
export function filteredCategories(verdict: Verdict): SafetyCategory[] {
  return (Object.keys(verdict) as SafetyCategory[]).filter((category) => verdict[category].filtered)
}

/** Finds everything safe without a look at it. */
export const passAll: SafetyFilter = {
  looks: false,
  prompt: () => Promise.resolve(safe),
  completion: () => Promise.resolve(safe),
  image: () => Promise.resolve(safe),
}
