import { createWriteStream } from 'node:fs'
import { rename, stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Terminal } from './terminal.ts'

/** Everything the processes say goes to one file as JSON lines; warnings and worse are shown on the terminal, too. */
export async function openLogFile(path: string, terminal: Terminal): Promise<LogFile> {
  const size = await stat(path)
    .then((found) => found.size)
    .catch(() => 0)
  if (size > 50_000_000) await rename(path, `${path}.1`) // one earlier file is kept
  const file = createWriteStream(path, { flags: 'a', mode: 0o600 })
  file.on('error', (error) => terminal.warn('log', `cannot be written: ${error.message}`))
  let shown = ''
  const shownOfFiles = new Map<string, string>()
  const recent = new Map<string, string[]>()

  function take(source: string, line: string): void {
    const entry = parse(line) ?? { level: 'error', msg: line }
    file.write(
      entry.raw ??
        `${JSON.stringify({ level: entry.level, time: new Date(), name: source, msg: entry.msg })}\n`,
    )
    const text = [entry.msg, entry.path, entry.reason].filter(Boolean).join(': ')
    recent.set(source, [...(recent.get(source) ?? []), text].slice(-12))
    if (loud.has(entry.level) && isNews(source, entry.path, text)) terminal.warn(source, text)
  }

  /** A warning that repeats itself is shown once, one about a file also when several processes read that file. */
  function isNews(source: string, path: string | undefined, text: string): boolean {
    const last = path === undefined ? shown : shownOfFiles.get(path)
    const now = path === undefined ? `${source} ${text}` : text
    if (path === undefined) shown = now
    else shownOfFiles.set(path, now)
    return now !== last
  }

  return {
    path,
    follow: (source, stream) =>
      void createInterface(stream).on('line', (line) => line !== '' && take(source, line)),
    write: (source, level, msg) =>
      take(source, JSON.stringify({ level, time: new Date(), name: source, msg })),
    lastLines: (source) => (recent.get(source) ?? []).join('\n'),
    close: () => new Promise((resolve) => file.end(resolve)),
  }
}

const loud = new Set(['warn', 'error', 'fatal'])

/** A line that is not from our logger (Node's own last words, mostly) is kept as an error. */
function parse(line: string): Entry | undefined {
  try {
    const { level, msg, err, path, line: at, reason } = JSON.parse(line)
    if (typeof level !== 'string') return undefined
    return {
      level,
      msg: String(msg ?? ''),
      ...(typeof path === 'string' && { path: typeof at === 'number' ? `${path}:${at}` : path }),
      reason: err?.message ?? reason,
      raw: `${line}\n`,
    }
  } catch {
    return undefined
  }
}

interface Entry {
  level: string
  msg: string
  /** The file that it is about. */
  path?: string
  reason?: string
  raw?: string
}

export interface LogFile {
  path: string
  follow(source: string, stream: Readable): void
  write(source: string, level: string, msg: string): void
  /** What `source` said last, for the message that it would not start. */
  lastLines(source: string): string
  close(): Promise<void>
}
