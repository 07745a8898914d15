import { z } from 'zod'
import { InferenceFault } from './fault.ts'
import { gather } from './gather.ts'
import { type SafetyCategory, type SafetyFilter, type Severity, safe, type Verdict } from './safety.ts'
import { createUpstreamAgent } from './upstream-agent.ts'

/**
 * A filter that asks an OpenAI-compatible moderation host (`POST {base_url}/moderations`). What it flags is filtered;
 * how severe a category is follows its score. Nothing is let through that the host has not judged.
 */
export function createModeration({
  baseUrl,
  apiKey,
  model,
  timeoutMs = 10_000,
}: ModerationOptions): SafetyFilter {
  const agent = createUpstreamAgent()
  const url = new URL(`${baseUrl.replace(/\/+$/, '')}/moderations`)
  const headers = {
    'content-type': 'application/json',
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
  }

  /** What it says of so many things. */
  async function judge(input: unknown, count: number, client: AbortSignal): Promise<Verdict> {
    const signal = AbortSignal.any([client, AbortSignal.timeout(timeoutMs)])
    try {
      const { statusCode, body } = await agent.request({
        origin: url.origin,
        path: url.pathname,
        method: 'POST',
        signal,
        headers,
        body: JSON.stringify({ input, ...(model === undefined ? {} : { model }) }),
      })
      const text = await gather(body, { most: maxAnswerBytes, signal })
      if (statusCode !== 200) throw new Error(`It answered HTTP ${statusCode}: ${text.slice(0, 300)}`)
      const { results } = answerShape.parse(JSON.parse(text))
      if (results.length < count) throw new Error(`It judged ${results.length} of ${count} texts`)
      return verdictOf(results)
    } catch (cause) {
      client.throwIfAborted()
      throw noVerdict(cause)
    }
  }

  return {
    looks: true,
    prompt: async (texts, { signal }) => (texts.length === 0 ? safe : judge(texts, texts.length, signal)),
    completion: async (text, { signal }) => (text === '' ? safe : judge(text, 1, signal)),
    image: (image, { signal }) => judge([{ type: 'image_url', image_url: { url: image } }], 1, signal),
  }
}

/** What nobody judged is not let through, whatever the reason. */
function noVerdict(cause: unknown): InferenceFault {
  return new InferenceFault('SERVICE_UNAVAILABLE', 'The safety filter gives no verdict now.', {
    retryAfterSeconds: 5,
    cause,
  })
}

/** The worst of all parts. */
function verdictOf(results: readonly Judged[]): Verdict {
  const entries = (Object.keys(safe) as SafetyCategory[]).map((category) => {
    const filtered = results.some((result) => flaggedIn(result).has(category))
    const scores = results.flatMap(({ category_scores: stated }) =>
      Object.entries(stated ?? {}).flatMap(([name, score]) =>
        categoryOf(name) === category ? [score ?? 0] : [],
      ),
    )
    const found = severityOf(Math.max(0, ...scores))
    return [category, { filtered, severity: filtered && found === 'safe' ? 'medium' : found }] as const
  })
  return Object.fromEntries(entries) as Verdict
}

/** What is flagged is filtered, also where it is not said for what. */
function flaggedIn({ flagged, categories }: Judged): Set<SafetyCategory> {
  const named = Object.entries(categories ?? {}).flatMap(([name, found]) => (found ? [categoryOf(name)] : []))
  return new Set(flagged && named.length === 0 ? [otherwise] : named)
}

/** `self-harm/intent` is self-harm; harassment is hate without a group. */
function categoryOf(name: string): SafetyCategory {
  const found = families.find(([words]) => words.test(name))
  return found?.[1] ?? otherwise
}

const families: [RegExp, SafetyCategory][] = [
  [/^(hate|harassment)/i, 'hate'],
  [/^self[-_ ]?harm/i, 'self_harm'],
  [/^sexual/i, 'sexual'],
]

/** Violence, and all that does harm and has no category of its own: `illicit`, and what hosts add. */
const otherwise = 'violence'

function severityOf(score: number): Severity {
  if (score < 0.2) return 'safe'
  if (score < 0.5) return 'low'
  return score < 0.8 ? 'medium' : 'high'
}

/** One that says neither is no judgement. */
const judgedShape = z
  .object({
    flagged: z.boolean().nullish(),
    categories: z.record(z.string(), z.boolean().nullable()).nullish(),
    category_scores: z.record(z.string(), z.number().nullable()).nullish(),
  })
  .refine(({ flagged, categories }) => flagged != null || categories != null, 'is no judgement')

const answerShape = z.object({ results: z.array(judgedShape).min(1) })

const maxAnswerBytes = 1024 * 1024

type Judged = z.infer<typeof judgedShape>

/** Where the host is, and with what key and model it is asked. */
export interface ModerationOptions {
  baseUrl: string
  apiKey?: string | undefined
  model?: string | undefined
  /** For one judgement in all. */
  timeoutMs?: number
}
