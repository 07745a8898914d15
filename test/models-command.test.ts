import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { commandEnvironment } from './harness/command-line.ts'
import { until } from './harness/wait.ts'

const program = fileURLToPath(new URL('../scripts/admin.mjs', import.meta.url))

let models: string
let here: string
beforeEach(async () => {
  models = await mkdtemp(join(tmpdir(), 'millrace-own-models-'))
  here = await mkdtemp(join(tmpdir(), 'millrace-here-'))
  onTestFinished(async () => {
    for (const folder of [models, here]) await rm(folder, { recursive: true })
  })
})

const environment = () => commandEnvironment({ MODELS_DIR: models })

/** `npm run admin -- models …`, in a folder of somebody's own. */
function admin(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'models', ...words], {
    cwd: here,
    env: environment(),
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

const script = (lines: string, more = '') => `namespace: own
type: text
version: "1.2"
aliases: [mine]
${more}
input_schema:
  type: object
  required: [text]
  properties:
    text: { type: string }
    times: { type: integer, default: 1 }
    words: { type: array, items: { type: string } }
    page: { type: string, format: uri }
provider:
  kind: command
  command: [/bin/sh, -c, '${lines}']
`

const save = (name: string, text: string) => writeFile(join(models, name), text)

test('list shows each model with its kind, its version and what it lacks', async () => {
  await save('own.yaml', script('cat', 'requires: [NOT_SET_ANYWHERE]'))
  const { status, stdout } = admin('list')
  expect(status).toBe(0)
  expect(stdout).toMatch(/^MODEL +TYPE +KIND +VERSION +STATE$/m)
  expect(stdout).toMatch(/^echo +multimodal +module +[0-9a-f]{12} +ready$/m)
  expect(stdout).toMatch(/^own, mine +text +command +[0-9a-f]{12} \(1\.2\) +needs NOT_SET_ANYWHERE$/m)
})

test('check names the line of every mistake and fails, and is content when there is none', async () => {
  await save('own.yaml', script('cat').replace('type: text', 'type: poem'))
  await save(
    'echo.mjs',
    `export default { namespace: 'echo', type: 'text', input_schema: { type: 'object' }, run() {} }`,
  )
  const bad = admin('check')
  expect(bad.status).toBe(1)
  expect(bad.stdout).toContain(`${join(models, 'own.yaml')}:2: type: `)
  expect(bad.stdout).toMatch(/echo\.ts: note: "echo" is replaced by/)

  await save('own.yaml', script('cat'))
  const good = admin('check')
  expect(good).toMatchObject({ status: 0, stderr: '' })
  expect(good.stdout).toContain('10 models are good; nothing is wrong.')
})

test('try runs a model with typed fields, prints what it answers and logs beside it', async () => {
  await save(
    'own.yaml',
    script('cat >&2; echo a log >&2; echo "{\\"event\\":\\"result\\",\\"output\\":[7]}"'),
  )
  const { status, stdout, stderr } = admin(
    'try',
    'mine',
    '-i',
    'text=7',
    '-i',
    'times=7',
    '-i',
    'words=a',
    '-i',
    'words=b',
  )
  expect(stderr).toContain('a log\n')
  expect(stderr).toContain('{"text":"7","times":7,"words":["a","b"]}')
  expect({ status, stdout }).toEqual({ status: 0, stdout: '[\n  7\n]\n' })
})

test('try takes files and texts from files, and saves what the model makes without overwriting', async () => {
  await save(
    'own.yaml',
    script(
      `node -e "const { page, text } = JSON.parse(require(\\"fs\\").readFileSync(0)); require(\\"fs\\").copyFileSync(page, process.env.MILLRACE_WORK_DIR + \\"/out.txt\\"); console.error(text)"; echo "{\\"event\\":\\"file\\",\\"path\\":\\"out.txt\\"}"`,
    ),
  )
  await writeFile(join(here, 'page.txt'), 'from a page')
  await writeFile(join(here, 'words.txt'), 'a long text')
  const given = ['-i', 'text=@words.txt', '-i', 'page=@page.txt']
  for (const saved of ['output/out.txt', 'output/out-2.txt', 'made/here/out.txt']) {
    const out = saved.startsWith('made') ? ['--out', 'made/here'] : []
    const { status, stdout, stderr } = admin('try', 'own', ...given, ...out)
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${saved}\n`, stderr: 'a long text\n' })
    expect(await readFile(join(here, saved), 'utf8')).toBe('from a page')
  }
  expect((await readdir(here)).sort()).toEqual(['made', 'output', 'page.txt', 'words.txt'])
  const blocked = admin('try', 'own', ...given, '--out', 'page.txt')
  expect(blocked).toMatchObject({ status: 1, stdout: '' })
  expect(blocked.stderr).toMatch(/\nThe output cannot be saved in page\.txt: .*\n$/)
})

test.each([
  [
    'a field that there is none of',
    ['try', 'own', '-i', 'text=x', '-i', 'tmies=2'],
    0,
    /^note: "tmies" is not a field of own; did you mean "times"\?\nown takes: text, \[times\], \[words\], \[page\]\n$/,
  ],
  [
    'a field without -i',
    ['try', 'own', 'text=x'],
    2,
    /^"text=x" is one word too many: a field is given as -i text=x\.\n/,
  ],
  [
    'a flag that there is none of',
    ['try', 'own', '--input-file', 'x'],
    2,
    /^Unknown option '--input-file'\.\n/,
  ],
  ['a model that there is none of', ['try', 'onw'], 1, /^There is no model "onw"\. Did you mean "own"\?\n$/],
  ['no model', ['try'], 2, /^npm run admin -- models list\n/],
  [
    'a file that is not there',
    ['try', 'own', '-i', 'text=x', '-i', 'page=@none.txt'],
    1,
    /^page: there is no file \/\S+\/none\.txt\n$/,
  ],
  [
    'a text that is not there',
    ['try', 'own', '-i', 'text=@none.txt'],
    1,
    /^text: there is no file \/\S+\/none\.txt\n$/,
  ],
  [
    'a folder',
    ['try', 'own', '-i', 'text=x', '-i', 'page=@.'],
    1,
    /^page: \/\S+ is a folder, and not a file\n$/,
  ],
  [
    'a path without @',
    ['try', 'own', '-i', 'text=x', '-i', 'page=a.png'],
    1,
    /^page: must be a URL.*\nA file of this machine is given as -i page=@path\n/,
  ],
  [
    'a URL that nobody answers',
    ['try', 'own', '-i', 'text=x', '-i', 'page=http://127.0.0.1:1/a'],
    1,
    /^page: .+\n$/,
  ],
] as const)('what was typed wrong is said in a sentence: %s', async (_what, words, status, said) => {
  await save('own.yaml', script('echo "{\\"event\\":\\"result\\",\\"output\\":1}"'))
  const answer = admin(...words)
  expect(answer).toMatchObject({ status, stderr: expect.stringMatching(said) })
  expect(answer.stderr).not.toMatch(/^\s+at /m)
})

test('a module that fails says why, and the line in its own file, without a stack', async () => {
  await save(
    'failing.mjs',
    `export default { namespace: 'failing', type: 'text', input_schema: { type: 'object' },
  async run() { throw new Error('no', { cause: new Error('a wheel is broken') }) } }`,
  )
  expect(admin('try', 'failing')).toEqual({
    status: 1,
    stdout: '',
    stderr: `MODEL_ERROR: no: a wheel is broken\nthrown in ${join(models, 'failing.mjs')}:2\n`,
  })
})

test('try fails in words: an unknown model, a wrong field, a failed run', async () => {
  await save('own.yaml', script('echo no weights >&2; exit 3'))
  expect(admin('try', 'none')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('no model "none"'),
  })
  expect(admin('try', 'own', '-i', 'times=many')).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/text: is required\ntimes: /),
  })
  expect(admin('try', 'own', '-i', 'text=x')).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringContaining('MODEL_ERROR: The command ended with exit code 3: no weights'),
  })
  expect(admin('draw')).toMatchObject({ status: 2, stderr: expect.stringContaining('models try NAME') })
})

const lines = `printf half >&2; echo " a line" >&2; echo "{\\"event\\":\\"progress\\",\\"percent\\":50}"; sleep 1; echo "{\\"event\\":\\"result\\",\\"output\\":\\"done\\"}"`

test('in a terminal a bar shows the progress, and elsewhere none does', async () => {
  await save('own.yaml', script(lines))
  const command = `'${process.execPath}' '${program}' models try own -i text=x`
  const terminal = spawnSync('script', ['-qec', command, '/dev/null'], {
    cwd: here,
    env: environment(),
    encoding: 'utf8',
  })
  expect(terminal.stdout).toMatch(/running {2}\d/)
  expect(terminal.stdout).toMatch(/\[█{15}░{15}\] 50 % /)
  expect(terminal.stdout).toMatch(/done\r\n$/)
  expect(admin('try', 'own', '-i', 'text=x')).toEqual({
    status: 0,
    stdout: 'done\n',
    stderr: 'half a line\n',
  })
})

test('Ctrl-C stops the model', async () => {
  await save('own.yaml', script('echo begun >&2; exec sleep 600'))
  const child = spawn(process.execPath, [program, 'models', 'try', 'own', '-i', 'text=x'], {
    cwd: here,
    env: environment(),
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  await until(() => said.includes('begun'), { within: 20_000, what: 'the model to run' })
  child.kill('SIGINT')
  const [code] = await once(child, 'exit')
  expect({ code, said }).toEqual({ code: 130, said: 'begun\nStopped.\n' })
})
