import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadCatalogue } from '@millrace/models/catalogue'
import { openProvider } from '@millrace/providers/open-provider'
import { expect, test, vi } from 'vitest'
import { logOf, startRun, temporaryFolder } from './run-model.ts'

/** Opens a command model: a shell script between single quotes. */
async function given(script: string) {
  const folder = await temporaryFolder()
  const provider = { kind: 'command', command: ['/bin/sh', '-c', script], env: { GREETING: 'hello' } }
  await writeFile(
    join(folder.path, 'model.json'),
    JSON.stringify({
      namespace: 'script',
      type: 'text',
      concurrency: 2,
      input_schema: { type: 'object' },
      provider,
    }),
  )
  return opened(folder.path, 'script', () => folder[Symbol.asyncDispose]())
}

async function opened(dir: string, name: string, after: () => PromiseLike<void>) {
  const { models, problems } = await loadCatalogue({ dirs: [dir], testModels: false })
  const description = models.get(name)
  if (!description) {
    throw new Error(JSON.stringify(problems))
  }
  const provider = openProvider(description)
  const work = await temporaryFolder()
  return {
    workDir: work.path,
    run: (input: unknown) => startRun(provider, description, input, work.path),
    async [Symbol.asyncDispose]() {
      await provider.close()
      await work[Symbol.asyncDispose]()
      await after()
    },
  }
}

test('the example of the documentation counts words', async () => {
  await using model = await opened(
    join(import.meta.dirname, '../docs/examples'),
    'word-count',
    async () => undefined,
  )
  const { outcome, events } = model.run({ text: 'to be or not to be, to' })
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: { words: 7, most_common: 'to' } })
  expect(logOf(events)).toBe('counting 22 characters\n')
})

test('a command gets its input on stdin and its folder in the environment, and answers in parts and logs', async () => {
  await using model = await given(`cat > "$MILLRACE_WORK_DIR/in.json"
    echo "$GREETING"; echo '{"event":"log","text":"noted"}'; echo '{"event":"progress","percent":50}'
    echo '{"event":"output","text":"one "}'; echo '{"event":"output","text":"two"}'; echo loud >&2`)
  const { outcome, events } = model.run({ a: 1 })

  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'one two' })
  expect(events).toContainEqual({ kind: 'progress', percent: 50 })
  expect(logOf(events).split('\n').sort()).toEqual(['', 'hello', 'loud', 'noted'])
})

test('a file a command made in its folder is its output', async () => {
  await using model = await given(`cd "$MILLRACE_WORK_DIR" && echo hi > out.txt
    echo '{"event":"file","path":"out.txt","content_type":"text/plain"}'`)
  const file = { $file: expect.stringMatching(/out\.txt$/), name: 'out.txt', contentType: 'text/plain' }
  expect(await model.run({}).outcome).toMatchObject({ kind: 'succeeded', output: [file] })
})

test.each(['/etc/hostname', '../../etc/hostname', 'link'])(
  'a file outside its folder is refused: %s',
  async (path) => {
    await using model = await given(
      `ln -s /etc/hostname "$MILLRACE_WORK_DIR/link"; echo '{"event":"file","path":"${path}"}'`,
    )
    expect(await model.run({}).outcome).toMatchObject({ kind: 'failed', code: 'INVALID_OUTPUT' })
  },
)

test('a command that fails, fails its run with the last it said', async () => {
  await using model = await given('echo "no such thing" >&2; exit 3')
  const detail = expect.stringMatching(/exit code 3: no such thing/)
  expect(await model.run({}).outcome).toMatchObject({ kind: 'failed', code: 'MODEL_ERROR', detail })
})

test('a command that does not exist fails its run and says so', async () => {
  await using folder = await temporaryFolder()
  const provider = { kind: 'command', command: ['no-such-program-here'] }
  const text = JSON.stringify({ namespace: 'none', type: 'text', input_schema: { type: 'object' }, provider })
  await writeFile(join(folder.path, 'none.json'), text)
  await using model = await opened(folder.path, 'none', async () => undefined)
  const detail = expect.stringContaining('could not be started')
  expect(await model.run({}).outcome).toMatchObject({ kind: 'failed', code: 'MODEL_ERROR', detail })
})

test('an aborted command goes with everything it started', async () => {
  await using model = await given(`sleep 600 & echo "{\\"event\\":\\"log\\",\\"text\\":\\"$!\\"}"; wait`)
  const { outcome, events, abort } = model.run({})
  await vi.waitFor(() => expect(Number(logOf(events))).toBeGreaterThan(1), 5000)
  const sleeper = Number(logOf(events))

  abort()

  expect(await outcome).toEqual({ kind: 'aborted' })
  await vi.waitFor(() => expect(() => process.kill(sleeper, 0)).toThrow(), 5000)
})

test('a command ends when the process around it is killed, before its run is told', async () => {
  await using model = await given(
    `sleep 600 & echo "{\\"event\\":\\"log\\",\\"text\\":\\"$PPID $$ $!\\"}"; wait`,
  )
  const { outcome, events } = model.run({})
  await vi.waitFor(() => expect(logOf(events)).toMatch(/^\d+ \d+ \d+\n/), 5000)
  const [host = 0, ...group] = logOf(events).split(' ').map(Number)

  process.kill(host, 'SIGKILL')

  expect(await outcome).toMatchObject({ kind: 'crashed' })
  await vi.waitFor(() => {
    for (const pid of group) expect(() => process.kill(pid, 0)).toThrow()
  }, 5000)
})
