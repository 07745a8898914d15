import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Outcome } from './play.ts'
import type { QueueKind, Scenario } from './scenario.ts'

/** What came out of each fault when it was last played at length, by `nameOf`. */
export async function readResults(file: string | URL): Promise<Results> {
  return readFile(file, 'utf8').then(JSON.parse, () => ({}))
}

export async function writeResults(file: string | URL, results: Results): Promise<void> {
  await writeFile(file, `${JSON.stringify(results, null, 2)}\n`)
}

export function nameOf({ name }: Scenario, queue: QueueKind): string {
  return `${name} (${queue})`
}

/** The commit that is checked out, with a `+` where files were changed since; undefined outside of a repository. */
export async function readCommit(): Promise<string | undefined> {
  const git = async (...args: string[]) =>
    (await run('git', args, { cwd: import.meta.dirname })).stdout.trim()
  try {
    const commit = await git('rev-parse', '--short=7', 'HEAD')
    return `${commit}${(await git('status', '--porcelain', '--untracked-files=no')) === '' ? '' : '+'}`
  } catch {
    return undefined
  }
}

/** A result in words: what was measured, and of which commit it is where that is not `commit`. */
export function inWords(result: Result, commit: string | undefined): string {
  const { breaches, figures, seconds } = result
  const measured = Object.entries(figures).map(
    ([figure, value]) => `${figure.replaceAll('_', ' ')} ${Math.round(value).toLocaleString('en')}`,
  )
  const verdict = breaches.length === 0 ? 'no breach' : `**${breaches.length} breaches**`
  const of = isOf(result, commit) ? [] : [result.commit ? `at ${result.commit}` : 'at an unknown commit']
  return [verdict, ...measured, `${seconds} s`, ...of].join(', ')
}

/** Whether a result says something of exactly this commit. */
export function isOf(result: Result, commit: string | undefined): boolean {
  return result.commit !== undefined && result.commit === commit
}

const run = promisify(execFile)

export type Results = Record<string, Result>

/** `commit` is what was checked out as it began. */
export type Result = Outcome & { seed: number; seconds: number; commit?: string }
