import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { openLogFile } from '@millrace/standalone/log-file'
import { expect, onTestFinished, test } from 'vitest'
import { until } from './harness/wait.ts'

/** What a terminal shows of the lines that the processes write, in their order. */
async function shownOf(...lines: (Record<string, unknown> & { by: string })[]): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-log-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const shown: string[] = []
  const keep = (sign: string, text: string) => void shown.push(`${sign} ${text}`)
  const quiet = () => undefined
  const log = await openLogFile(join(folder, 'log'), {
    ...{ print: quiet, step: quiet, problem: quiet, tell: keep, warn: keep },
    ...{ strong: String, quiet: String },
  })
  for (const { by, ...line } of [...lines, { by: 'test', level: 'warn', msg: 'the end' }]) {
    const stream = new PassThrough()
    log.follow(by, stream)
    stream.end(`${JSON.stringify({ level: 'warn', ...line })}\n`)
    const count = shown.length
    await until(() => stream.readableEnded || shown.length > count, { what: 'the line to be read' })
  }
  await until(() => shown.at(-1) === 'test the end', { what: 'the last line' })
  await log.close()
  expect((await readFile(join(folder, 'log'), 'utf8')).trim().split('\n')).toHaveLength(lines.length + 1)
  return shown.slice(0, -1)
}

test('a warning names the host, the model or the file that it is about, and why', async () => {
  const msg = 'something is wrong'
  const shown = await shownOf(
    { by: 'worker', msg, host: 'http://gpu:8000', reason: 'connect ECONNREFUSED', failures: 3 },
    { by: 'worker', msg, model: 'shout', reason: 'TOKEN is not set' },
    { by: 'worker', msg, path: join(process.cwd(), 'models/a.yaml'), line: 3, reason: 'type: is required' },
    { by: 'worker', msg, path: '/elsewhere/a.yaml', reason: 'it is no file' },
    { by: 'api', msg, err: { message: 'fetch failed', cause: { message: 'getaddrinfo ENOTFOUND db' } } },
    { by: 'api', msg, err: { message: '', code: 'ECONNREFUSED' } },
  )
  expect(shown).toEqual([
    'worker something is wrong: http://gpu:8000: connect ECONNREFUSED',
    'worker something is wrong: shout: TOKEN is not set',
    'worker something is wrong: models/a.yaml:3: type: is required',
    'worker something is wrong: /elsewhere/a.yaml: it is no file',
    'api something is wrong: fetch failed: getaddrinfo ENOTFOUND db',
    'api something is wrong: ECONNREFUSED',
  ])
})

test('what several processes say of a file is shown once, and again when it was mended in between', async () => {
  const faults = ['one', 'two'].map((reason) => ({ msg: 'bad', path: '/m/a.yaml', reason }))
  const both = ['api', 'worker'].flatMap((by) => faults.map((fault) => ({ by, ...fault })))
  const mended = { by: 'worker', level: 'info', mark: '+', file: '/m/a.yaml', msg: 'a.yaml is good again' }
  const once = ['api bad: /m/a.yaml: one', 'api bad: /m/a.yaml: two']

  expect(await shownOf(...both, mended, ...both)).toEqual([...once, '+ a.yaml is good again', ...once])
})

test('news is shown with its mark, whatever its level; other things that are no warning are not', async () => {
  expect(
    await shownOf(
      { by: 'worker', level: 'info', msg: 'a run has ended' },
      { by: 'worker', level: 'info', mark: '+', model: 'shout', msg: 'shout is ready' },
      { by: 'worker', level: 'warn', mark: '!', model: 'shout', msg: 'shout is not served' },
      { by: 'worker', level: 'info', mark: '+', host: 'http://gpu', msg: 'a host serves again' },
    ),
  ).toEqual(['+ shout is ready', '! shout is not served', '+ a host serves again: http://gpu'])
})
