import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Prediction } from '@millrace/contract/prediction'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'
import { type Print, writeObedientModels } from './obedient-models.ts'
import { untilEnded } from './until-ended.ts'

let service: Service
let call: ApiCaller
function serving(queue: 'redis' | 'postgres'): void {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-bad-output-'))
    await writeObedientModels(folder)
    service = await startService({ queue, dispatchers: 0, env: { MODELS_DIR: folder } })
    call = callerOf(service.url, service.apiKey)
  })
  afterAll(async () => {
    await service.stop()
    await rm(folder, { recursive: true, force: true })
  })
}

describe.each(['redis', 'postgres'] as const)('an output that can be kept, over %s', (queue) => {
  serving(queue)

  test.each<[string, string, string]>([
    [
      'NUL and lone surrogates become U+FFFD',
      `() => ({ 'a\\0': ['b\\ud800c', '\\udfff'] })`,
      '{"a\uFFFD":["b\uFFFDc","\uFFFD"]}',
    ],
    [
      'two halves of a character that come one after the other are whole',
      `function* () { yield 'a\\0'; yield '\\ud83c'; yield '\\udfed' }`,
      '"a\uFFFD🏭"',
    ],
    ['64 levels are kept', '() => deep(64)', `${'['.repeat(64)}"x"${']'.repeat(64)}`],
    ['an integer of 20 digits is the nearest double', '() => 12345678901234567890', '12345678901234567000'],
    [
      'names of JavaScript are names like others',
      `() => JSON.parse('{"__proto__":{"a":1},"constructor":2}')`,
      '{"__proto__":{"a":1},"constructor":2}',
    ],
    ['a flood of logs is cut off', `({ log }) => { log('x'.repeat(100e6)); return 1 }`, '1'],
    [
      'progress that is no number is none',
      `({ progress }) => { for (const odd of ['x', NaN, 1e400, 10n]) progress(odd); return 1 }`,
      '1',
    ],
  ])('%s', async (_, source, output) => {
    const ended = await run('module', { source })
    expect({ status: ended.status, output: JSON.stringify(ended.output) }).toEqual({
      status: 'succeeded',
      output,
    })
  })

  test.each<[string, Print, string]>([
    [
      'NUL and lone surrogates become U+FFFD',
      { before: result('{"a\\u0000":"\\ud800"}') },
      '{"a\uFFFD":"\uFFFD"}',
    ],
    ['so do bytes that are no UTF-8', { before: result('"\xFF\xC3"') }, '"\uFFFD\uFFFD"'],
    ['of a name that comes twice the last one counts', { before: result('{"a":1,"a":2}') }, '{"a":2}'],
    [
      'an integer of 20 digits is the nearest double',
      { before: result('12345678901234567890') },
      '12345678901234567000',
    ],
    [
      '"__proto__" is a name like others',
      { before: result('{"__proto__":{"a":1}}') },
      '{"__proto__":{"a":1}}',
    ],
  ])('of a command: %s', async (_, print, output) => {
    const ended = await run('command', print)
    expect({ status: ended.status, output: JSON.stringify(ended.output) }).toEqual({
      status: 'succeeded',
      output,
    })
  })
})

// No output goes through a queue: the rest is tried over one.
describe('over redis', () => {
  serving('redis')

  describe('an output that cannot be kept is INVALID_OUTPUT', () => {
    const tooDeep = 'The output is nested deeper than 64 levels'
    const tooLong = /^The output is \d+\.\d MB of JSON and may be 8 MB: return large results as files$/

    test.each<[string, string, string | RegExp]>([
      ['65 levels', '() => deep(65)', tooDeep],
      ['5,000 levels', '() => deep(5_000)', tooDeep],
      ['200,000 levels', '() => deep(200_000)', tooDeep],
      ['5,000 levels in a part', 'function* () { yield deep(5_000) }', tooDeep],
      [
        '5,000 levels beside a file',
        `function* () { yield { $file: 'a', name: 'a', b: deep(5_000) } }`,
        tooDeep,
      ],
      ['100 MB of text', `() => 'x'.repeat(100e6)`, tooLong],
      ['100 MB in a list', `() => Array.from({ length: 100 }, () => 'x'.repeat(1e6))`, tooLong],
      ['100 MB in parts', `function* () { for (let n = 0; n < 100; n++) yield 'x'.repeat(1e6) }`, tooLong],
      ['1e400', '() => ({ n: 1e400 })', 'output.n is Infinity, which JSON cannot hold'],
      ['a BigInt', '() => [12345678901234567890n]', 'output[0] is a bigint, which JSON cannot hold'],
      [
        'a file elsewhere',
        `() => ({ $file: '/etc/hostname', name: 'a' })`,
        /^The output names a file that is not in/,
      ],
      [
        'a file above',
        `() => ({ $file: '../../../../etc/hostname', name: 'a' })`,
        /^The output names a file that is not in/,
      ],
      [
        'a file with NUL in its path',
        `() => ({ $file: 'a\\0', name: 'a' })`,
        /^The output names a file that is not in/,
      ],
    ])('%s', async (_, source, error) => {
      expect(await run('module', { source })).toMatchObject(failed('INVALID_OUTPUT', error))
    })

    test.each<[string, Print, string | RegExp]>([
      [
        '200,000 levels',
        {
          before: '{"event":"result","output":',
          fill: '{"a":',
          times: 200_000,
          after: `1${'}'.repeat(200_001)}\n`,
        },
        tooDeep,
      ],
      ['1e400', { before: result('{"n":1e400}') }, 'output.n is Infinity, which JSON cannot hold'],
      [
        '100 MB in a line',
        { before: '{"event":"result","output":"', fill: 'x', times: 100e6, after: '"}\n' },
        /^A line of JSON is longer than 16 MB/,
      ],
      [
        '100 MB in parts',
        { fill: `{"event":"output","text":"${'x'.repeat(1000)}"}\n`, times: 100_000 },
        tooLong,
      ],
      ['30 MB of zeros', { fill: '\0', times: 30e6 }, 'The model returned nothing'],
      ['a byte order mark', { before: `\xEF\xBB\xBF${result('1')}` }, 'The model returned nothing'],
      [
        'UTF-16',
        { before: Buffer.from(result('1'), 'utf16le').toString('latin1') },
        'The model returned nothing',
      ],
    ])('of a command: %s', async (_, print, error) => {
      expect(await run('command', print)).toMatchObject(failed('INVALID_OUTPUT', error))
    })
  })

  test('NUL and half a surrogate pair become U+FFFD in a log', async () => {
    const { id } = await run('module', { source: `({ log }) => { log('a\\0b\\ud800'); return 1 }` })
    const { text } = await call(`GET /v1/predictions/${id}/stream`, {
      headers: { accept: 'text/event-stream' },
    })
    expect(text).toContain('{"text":"a\uFFFDb\uFFFD\\n"')
  })

  test.each<[string, string, string | RegExp]>([
    ['NUL and half a surrogate pair', `() => { throw new Error('a\\0b\\ud800') }`, 'a\uFFFDb\uFFFD'],
    ['100 MB of text', `() => { throw new Error('x'.repeat(100e6)) }`, 'x'.repeat(4000)],
    ['a list 5,000 deep', '() => { throw deep(5_000) }', /Array/],
    ['what no text can be made of', '() => { throw Object.create(null) }', /null prototype/],
    [
      'an error whose message is no text',
      `() => { throw Object.assign(new Error(), { message: { a: 1 } }) }`,
      '{ a: 1 }',
    ],
    ['an error inside the output', `() => ({ get a() { throw new Error('no a') } })`, 'no a'],
    ['a log that is no text', `({ log }) => log(Symbol('a'))`, /not a function/],
  ])('a model that throws %s fails with MODEL_ERROR', async (_, source, error) => {
    expect(await run('module', { source })).toMatchObject(failed('MODEL_ERROR', error))
  })

  test.each<[string, string, string, string]>([
    ['a path', `{ name: '../../etc/passwd' }`, 'passwd', 'application/octet-stream'],
    [
      'NUL and half a surrogate pair',
      `{ name: 'a\\0\\ud800.txt' }`,
      'a_\uFFFD.txt',
      'text/plain; charset=utf-8',
    ],
    ['NUL in its extension', `{ name: 'a.p\\0ng' }`, 'a.p_ng', 'application/octet-stream'],
    [
      'an extension of 300 letters',
      `{ name: 'a.' + 'x'.repeat(300) }`,
      `a.${'x'.repeat(198)}`,
      'application/octet-stream',
    ],
    [
      'a line break in its type',
      `{ name: 'a.txt', contentType: 'a/b\\r\\nx: y' }`,
      'a.txt',
      'application/octet-stream',
    ],
    [
      'a line break before a parameter',
      `{ name: 'a.txt', contentType: 'a/b\\r\\n; x' }`,
      'a.txt',
      'application/octet-stream',
    ],
    ['NUL in its type', `{ name: 'a.txt', contentType: 'a/b\\0' }`, 'a.txt', 'application/octet-stream'],
  ])('a file with %s in its name or type can be had', async (_, about, name, type) => {
    const ended = await run('module', { source: `({ file }) => file(Buffer.from('hi'), ${about})` })
    const [file] = ended.metadata.storage.files
    expect(file).toMatchObject({ name, type, size: 2 })
    expect(ended.output).toBe(file?.url)

    const response = await fetch(file?.url ?? '')

    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
      200,
      type,
      'hi',
    ])
  })

  test('100 MB are welcome as a file', async () => {
    const ended = await run('module', {
      source: `({ file }) => file(Buffer.alloc(100e6), { name: 'a.bin' })`,
    })
    expect(ended).toMatchObject({ status: 'succeeded', metadata: { storage: { files: [{ size: 100e6 }] } } })
  })
})

/** Runs it to its end; every way to read the prediction then works, whatever came out. */
async function run(model: string, input: object): Promise<Prediction> {
  const { body } = await call('POST /v1/predictions', { body: { model, input } })
  const ended = await untilEnded(call, body.id)
  const accept = 'text/event-stream'
  const readings = await Promise.all([
    call(`GET /v1/predictions/${body.id}/stream`, { headers: { accept } }),
    call('GET /v1/predictions?per_page=1'),
    call(`GET /v1/job/${body.id}`),
  ])
  expect(readings.map(({ status }) => status)).toEqual([200, 200, 200])
  return ended
}

function failed(id: string, error: string | RegExp) {
  const text = typeof error === 'string' ? error : expect.stringMatching(error)
  return { status: 'failed', error_id: id, error: text, output: null, metadata: { attempts: 1 } }
}

function result(json: string): string {
  return `{"event":"result","output":${json}}`
}
