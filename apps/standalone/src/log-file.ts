import { createWriteStream } from 'node:fs'
import { rename, stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { shortPath } from './short-path.ts'
import type { Terminal } from './terminal.ts'

/** Everything the processes say goes to one file as JSON lines; warnings, worse and what is marked for people are shown on the terminal, too. */
export async function openLogFile(path: string, terminal: Terminal): Promise<LogFile> {
  const size = await stat(path)
    .then((found) => found.size)
    .catch(() => 0)
  if (size > 50_000_000) await rename(path, `${path}.1`) // one earlier file is kept
  const file = createWriteStream(path, { flags: 'a', mode: 0o600 })
  file.on('error', (error) => terminal.warn('log', `cannot be written: ${error.message}`))
  let shown = ''
  const shownOfFiles = new Map<string, Set<string>>()
  const recent = new Map<string, string[]>()

  function take(source: string, line: string): void {
    const entry = parse(line) ?? { level: 'error', msg: line }
    file.write(
      entry.raw ??
        `${JSON.stringify({ level: entry.level, time: new Date(), name: source, msg: entry.msg })}\n`,
    )
    const text = [entry.msg, entry.subject, entry.reason].filter(Boolean).join(': ')
    recent.set(source, [...(recent.get(source) ?? []), text].slice(-12))
    if (entry.mark !== undefined) {
      // The same mistake in it is news again.
      if (entry.file !== undefined) shownOfFiles.delete(entry.file)
      terminal.tell(entry.mark, text)
    } else if (loud.has(entry.level) && isNews(source, entry.file, text)) terminal.warn(source, text)
  }

  /** A warning that repeats itself is shown once, one about a file also when several processes read that file. */
  function isNews(source: string, file: string | undefined, text: string): boolean {
    if (file !== undefined) {
      const said = shownOfFiles.get(file) ?? new Set()
      shownOfFiles.set(file, said)
      return said.size < said.add(text).size
    }
    const last = shown
    shown = `${source} ${text}`
    return shown !== last
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
    const { level, msg, err, path, line: at, reason, host, model, mark, file } = JSON.parse(line)
    if (typeof level !== 'string') return undefined
    const place = typeof path === 'string' && `${shortPath(path)}${typeof at === 'number' ? `:${at}` : ''}`
    return {
      level,
      msg: String(msg ?? ''),
      ...(typeof mark === 'string' && { mark }),
      ...(typeof (file ?? path) === 'string' && { file: file ?? path }),
      // A marked line says of itself which model it is about.
      subject: place || (host ?? (mark === undefined ? model : undefined)),
      reason: reasonOf(err) ?? reason,
      raw: `${line}\n`,
    }
  } catch {
    return undefined
  }
}

/** Node says of some errors only in their cause, or by their code, what happened. */
function reasonOf(err: LoggedError | undefined): string | undefined {
  if (!err) return undefined
  return [err.message, err.cause?.message].filter(Boolean).join(': ') || err.code
}

interface LoggedError {
  message?: string
  code?: string
  cause?: LoggedError
}

interface Entry {
  level: string
  msg: string
  /** News for people, behind this sign. */
  mark?: string
  /** The file that it is about, by its whole path. */
  file?: string
  /** What it is about: a file and a line, a host, a model. */
  subject?: string
  reason?: string | undefined
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
