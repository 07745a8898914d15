import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { errorsPage } from '@millrace/api/errors-page'
import { newestReport, withReport } from '@millrace/bench/performance-page'
import { newSecret, sign } from '@millrace/webhooks/sign'
import { describe, expect, onTestFinished, test } from 'vitest'
import { scenarios } from './faults/all.ts'
import type { Scenario } from './faults/scenario.ts'
import { givenClone, openTerminal, type } from './harness/clone.ts'
import { until } from './harness/wait.ts'
import { blocksOf, freePorts, givenModelServer, save } from './pages.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].concat(
  (await readdir(join(root, 'docs'), { recursive: true }))
    .filter((path) => path.endsWith('.md'))
    .map((path) => join('docs', path)),
)

test('every command and model of the docs works as it is pasted', { timeout: 300_000 }, async () => {
  const ports = await freePorts()
  const [start] = await blocksOf('README.md', ports)
  const service = await givenClone(start?.text ?? '', ports[3000])
  const { folder } = service
  const guides = [
    ...['models', 'media', 'inference', 'integrations'],
    ...['batches', 'authentication', 'activity', 'webhooks', 'operations'],
    ...['billing', 'budgets', 'limits'],
  ].map((name) => `docs/${name}.md`)
  const blocks = (await Promise.all(guides.map((page) => blocksOf(page, ports)))).flat()
  for (const block of blocks.filter(({ file }) => file?.includes('/'))) await save(block, folder)
  // A folder outside of the project is MODELS_DIR's; here its file is put where the others are.
  await type('mv elsewhere/*.mjs models/', folder)
  await service.up()

  for (const { text } of blocks.filter(({ language }) => language === 'sh')) {
    expect(await type(text, folder), text).not.toMatch(/"status": ?(false|"failed")|"error": ?\{/)
  }
  await service.down()
  await service.up()

  const apiKey = (await readFile(join(folder, '.millrace', 'api-key'), 'utf8')).trim()
  async function output(model: string, input: object): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${ports[3000]}/v1/predictions`, {
      method: 'POST',
      headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
      body: JSON.stringify({ model, input, await: true }),
    })
    return ((await response.json()) as { output: unknown }).output
  }
  const server = await givenModelServer(
    ports[8000],
    'application/json',
    JSON.stringify({ choices: [{ text: 'From a GPU' }] }),
  )
  expect(await output('haiku', { about: 'heron' })).toBe('still water\nthe wheel waits\nheron\n')
  expect(await output('reverse', { text: 'lliM' })).toBe('Mill')
  expect(await output('count', { text: 'a mill, a river' })).toEqual({ words: 4, most_common: 'a' })
  expect(await output('word-count', { text: 'a mill, a river' })).toEqual({ words: 4, most_common: 'a' })
  expect(await output('llama', { prompt: 'Where from?' })).toBe('From a GPU')
  expect(server.asked).toEqual([{ prompt: 'Where from?', max_tokens: 512 }])
  const miller = await fetch(`http://127.0.0.1:${ports[3000]}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'miller', messages: [{ role: 'user', content: 'wheat' }] }),
  })
  expect(await miller.json()).toMatchObject({
    choices: [
      { message: { content: 'Grind it slowly: wheat', reasoning_content: 'What would a miller say?' } },
    ],
    usage: { total_tokens: 8 },
  })
})

describe.each([
  { command: 'node receiver.mjs', installed: true },
  { command: 'python3 receiver.py', installed: await isInstalled('python3') },
  { command: 'java Receiver.java', installed: await isInstalled('java') },
])('the webhook receiver of docs/webhooks.md: $command', ({ command, installed }) => {
  test.runIf(installed)('takes what is ours, and nothing else', async () => {
    const ports = await freePorts()
    const folder = await mkdtemp(join(tmpdir(), 'millrace-docs-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await mkdir(join(folder, 'node_modules'))
    await symlink(join(root, 'node_modules/standardwebhooks'), join(folder, 'node_modules/standardwebhooks'))
    const block = (await blocksOf('docs/webhooks.md', ports)).find(
      ({ file }) => file === command.split(' ')[1],
    )
    if (block) await save(block, folder)
    const secret = newSecret()
    const receiver = openTerminal(command, folder, { WEBHOOK_SECRET: secret })
    onTestFinished(() => receiver.interrupt())
    const now = Math.floor(Date.now() / 1000)
    const body = JSON.stringify({ type: 'prediction.succeeded', data: { id: 'pred_1', output: 'Grüße 🏭' } })
    async function statusOf(headers: Record<string, string>, sent = body): Promise<number> {
      const { status } = await fetch(`http://127.0.0.1:${ports[4000]}/`, {
        method: 'POST',
        headers,
        body: sent,
      })
      return status
    }
    const headers = (given: { timestamp?: number; secrets?: string[] } = {}) => ({
      ...sign({ id: 'msg_1', timestamp: now, body, secrets: [secret], ...given }),
    })
    await until(() => statusOf({}), { within: 30_000, what: `the receiver to listen: ${command}` })

    expect(await statusOf(headers())).toBe(204)
    expect(await statusOf(headers({ secrets: [newSecret(), secret] })), 'while a secret is rotated').toBe(204)
    expect(await statusOf(headers({ secrets: [newSecret()] })), 'another secret').toBe(401)
    expect(await statusOf(headers(), body.replace('pred_1', 'pred_2')), 'another body').toBe(401)
    expect(await statusOf(headers({ timestamp: now - 600 })), 'ten minutes old').toBe(401)
    expect(await statusOf({}), 'no signature').toBe(401)
    const odd = { 'webhook-signature': `v1,${'é'.repeat(44)}`, 'webhook-timestamp': 'now' }
    for (const [name, value] of Object.entries(odd)) {
      expect(await statusOf({ ...headers(), [name]: value }), `${name}: ${value}`).toBe(401)
    }
    const { 'webhook-signature': _, ...unsigned } = headers()
    expect(await statusOf(unsigned), 'only the signature is missing').toBe(401)
    await receiver.untilShown('prediction.succeeded')
  })
})

test('docs/errors.md is the table of errors as it is now', async () => {
  const page = await readFile(join(root, 'docs/errors.md'), 'utf8')
  expect(page, 'npm run docs writes it').toBe(errorsPage())
})

test('docs/performance.md shows the last whole run of the bench', async () => {
  const page = await readFile(join(root, 'docs/performance.md'), 'utf8')
  expect(page, 'npm run bench writes it').toBe(withReport(page, await newestReport()))
})

test('docs/operations.md names the settings of each app, and no others', async () => {
  const page = await readFile(join(root, 'docs/operations.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| ([a-z, ]+) \|/gm)]
  for (const app of ['standalone', 'api', 'worker', 'dispatcher']) {
    const config = await readFile(join(root, `apps/${app}/src/config.ts`), 'utf8')
    const read = [...config.matchAll(/^ +([A-Z][A-Z_]+): z?\S/gm)].map(([, name]) => name)
    const named = rows.filter(([, , apps = '']) => apps.split(', ').includes(app)).map(([, name]) => name)
    expect(named.sort(), app).toEqual([...new Set(read)].sort())
  }
})

test('docs/decisions/dependencies.md names every runtime dependency', async () => {
  const page = await readFile(join(root, 'docs/decisions/dependencies.md'), 'utf8')
  const manifests = (
    await Promise.all(
      ['apps', 'packages'].map(async (parent) =>
        (await readdir(join(root, parent))).map((name) => join(parent, name, 'package.json')),
      ),
    )
  ).flat()
  const needed = await Promise.all(
    [...manifests, 'models/package.json'].map(async (path) =>
      Object.keys(JSON.parse(await readFile(join(root, path), 'utf8')).dependencies ?? {}),
    ),
  )
  const used = new Set(needed.flat().filter((name) => !name.startsWith('@millrace/')))
  const table = page.split('\n').filter((line) => line.startsWith('| `'))
  const named = table.flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)])
  expect(named.map(([, name]) => name).sort()).toEqual([...used].sort())
})

test('every promise of docs/guarantees.md names a test or a fault that there is', async () => {
  const guarantees = await readFile(join(root, 'docs/guarantees.md'), 'utf8')
  const [page = '', faults = ''] = guarantees.split('## Under faults')
  const promises = [...page.matchAll(/\| `([\w-]+(?:\.long)?\.test\.ts)`: (.+) \|$/gm)]
  const byFaults = [...page.matchAll(/\| the faults? (`.+`) \|$/gm)]
  expect(promises.length + byFaults.length).toBe(
    page.split('\n').filter((line) => line.startsWith('| ')).length - 1,
  )
  for (const [, file = '', title = ''] of promises) {
    expect(await readFile(join(root, 'test', file), 'utf8'), `${file}: ${title}`).toContain(title)
  }
  for (const name of byFaults.flatMap(([, names = '']) => namesIn(names)))
    expect(faults).toContain(`(\`${name}\`)`)
  for (const { name, fault } of scenarios) expect(faults).toContain(`| ${fault} (\`${name}\`) |`)
})

test('docs/guarantees.md names the faults that the short run does on one queue, or not at all', async () => {
  const page = await readFile(join(root, 'docs/guarantees.md'), 'utf8')
  const [, none = '', postgres = '', redis = ''] =
    /once and small, but for (.+?), which.+?on\s+Postgres (.+?);\s+on\s+Redis\s(.+?)\./s.exec(page) ?? []
  const named = (which: (scenario: Scenario) => boolean) => scenarios.filter(which).map(({ name }) => name)
  expect(namesIn(none)).toEqual(named(({ longOnly }) => longOnly !== undefined))
  expect(namesIn(postgres).sort()).toEqual(named(({ shortOn }) => shortOn === 'postgres').sort())
  expect(namesIn(redis).sort()).toEqual(named(({ shortOn }) => shortOn === 'redis').sort())
})

test('docs/guarantees.md was written after a long run that broke no promise', async () => {
  const page = await readFile(join(root, 'docs/guarantees.md'), 'utf8')
  const table = page.split('<!-- faults')[1] ?? ''
  const rows = table.split('\n').filter((line) => line.startsWith('| '))
  expect(rows.length).toBeGreaterThan(scenarios.length)
  expect(rows.filter((row) => /breaches\*\*|not run at length yet/.test(row))).toEqual([])
})

test('every link leads to a file, and to a heading where it names one', async () => {
  for (const page of pages) {
    const text = await readFile(join(root, page), 'utf8')
    for (const [, target = '', heading] of text.matchAll(/\]\(([^)#\s]*)(?:#([^)]*))?\)/g)) {
      if (/^https?:/.test(target)) continue
      const path = target === '' ? join(root, page) : join(root, dirname(page), target)
      await expect(stat(path), `${page}: ${target}`).resolves.toBeDefined()
      if (heading) expect(headingsOf(await readFile(path, 'utf8')), `${page}: #${heading}`).toContain(heading)
    }
  }
})

/** What stands between backticks. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
}

function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
}

async function isInstalled(program: string): Promise<boolean> {
  return await promisify(execFile)(program, ['--version']).then(
    () => true,
    () => false,
  )
}
