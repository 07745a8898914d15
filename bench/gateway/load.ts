import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { percentiles } from '../latencies.ts'
import type { Target } from './connection.ts'
import type { Kind } from './conversation.ts'

/** Carries out a plan in a process of its own. Answers what came of each target; throws at the first wrong answer. */
export async function load(plan: Plan, progress?: (done: number) => Promise<void>): Promise<Loaded[]> {
  const program = fileURLToPath(new URL('load-process.ts', import.meta.url))
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', program, JSON.stringify(plan)],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const exited = once(child, 'exit')
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4_000)
  })
  let loaded: Loaded[] | undefined
  for await (const line of createInterface(child.stdout)) {
    const said = JSON.parse(line) as { done: number } | Loaded[]
    if (Array.isArray(said)) loaded = said
    else await progress?.(said.done)
  }
  await exited
  if (loaded === undefined) throw new Error(`the load ended early: ${errors}`)
  return loaded
}

/** What is sent where, by how many at once, and for how long or how often. */
export interface Plan {
  targets: Target[]
  kind: Kind
  connections: number
  /** For each of the targets. */
  seconds?: number
  /** To each of the targets; progress is told, and latencies are not kept. */
  requests?: number
}

/** What came of a target. In milliseconds: the whole answer, the first text, a chunk's way (paced ones only). */
export interface Loaded {
  /** Those that were sent before the measurement began are among them. */
  sent: number
  perSecond: number
  took: Percentiles
  first: Percentiles
  chunk: Percentiles
}

type Percentiles = ReturnType<typeof percentiles>
