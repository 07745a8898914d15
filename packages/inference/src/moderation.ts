import { Agent, request } from 'undici'
import { InferenceFault } from './fault.ts'
import { type SafetyCategory, type SafetyFilter, type Severity, safe, type Verdict } from './safety.ts'

/**
 * A filter that asks an OpenAI-compatible moderation host (`POST {base_url}/moderations`). What it flags is filtered;
 * how severe a category is follows its score. Nothing is let through while the host does not answer.
 */
export function createModeration({
  baseUrl,
  apiKey,
  model,
  timeoutMs = 10_000,
}: ModerationOptions): SafetyFilter {
  const agent = new Agent({
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    connect: { timeout: timeoutMs },
  })
  const url = `${baseUrl.replace(/\/+$/, '')}/moderations`

  async function judge(input: unknown, signal: AbortSignal): Promise<Verdict> {
    let answer: { statusCode: number; body: unknown }
    try {
      const { statusCode, body } = await request(url, {
        method: 'POST',
        dispatcher: agent,
        signal,
        headers: {
          'content-type': 'application/json',
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify({ input, ...(model === undefined ? {} : { model }) }),
      })
      answer = { statusCode, body: await body.json() }
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      throw unavailable(cause)
    }
    const results = resultsIn(answer.body)
    if (answer.statusCode !== 200 || results.length === 0) throw unavailable(`HTTP ${answer.statusCode}`)
    return verdictOf(results)
  }

  return {
    looks: true,
    prompt: (texts, { signal }) => (texts.length === 0 ? Promise.resolve(safe) : judge(texts, signal)),
    completion: (text, { signal }) => (text === '' ? Promise.resolve(safe) : judge(text, signal)),
    image: (image, { signal }) => judge([{ type: 'image_url', image_url: { url: image } }], signal),
  }
}

function unavailable(cause: unknown): InferenceFault {
  return new InferenceFault('SERVICE_UNAVAILABLE', 'The safety filter cannot be reached.', {
    retryAfterSeconds: 5,
    cause,
  })
}

function resultsIn(body: unknown): ModerationResult[] {
  const { results } = (body ?? {}) as { results?: unknown }
  return Array.isArray(results)
    ? results.filter((result) => typeof result === 'object' && result !== null)
    : []
}

/** The worst of all parts. Categories below another (`hate/threatening`) count for it. */
function verdictOf(results: ModerationResult[]): Verdict {
  const entries = (Object.keys(safe) as SafetyCategory[]).map((category) => {
    const isOf = ([name]: [string, unknown]) => categoryOf(name) === category
    const filtered = results.some(({ categories = {} }) =>
      Object.entries(categories).some((entry) => isOf(entry) && entry[1] === true),
    )
    const scores = results.flatMap(({ category_scores = {} }) =>
      Object.entries(category_scores).flatMap((entry) => (isOf(entry) ? [Number(entry[1]) || 0] : [])),
    )
    const found = severityOf(Math.max(0, ...scores))
    return [category, { filtered, severity: filtered && found === 'safe' ? 'medium' : found }] as const
  })
  return Object.fromEntries(entries) as Verdict
}

/** `self-harm/intent` is self-harm; harassment is hate without a group. */
function categoryOf(name: string): string {
  const [family = ''] = name.split('/')
  return family === 'harassment' ? 'hate' : family.replace('-', '_')
}

function severityOf(score: number): Severity {
  if (score < 0.2) return 'safe'
  if (score < 0.5) return 'low'
  return score < 0.8 ? 'medium' : 'high'
}

interface ModerationResult {
  categories?: Record<string, unknown>
  category_scores?: Record<string, unknown>
}

/** Where the host is, and with what key and model it is asked. */
export interface ModerationOptions {
  baseUrl: string
  apiKey?: string | undefined
  model?: string | undefined
  timeoutMs?: number
}
