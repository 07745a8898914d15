import { execFileSync } from 'node:child_process'
import { mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadCatalogue } from '@millrace/models/catalogue'
import { type CatalogueReader, createCatalogueReader } from '@millrace/models/catalogue-reader'
import { describeText } from '@millrace/models/describe-text'
import { describeSettings } from '@millrace/models/description'
import { openaiHosts } from '@millrace/models/openai-hosts'
import { presentModel } from '@millrace/models/present-model'
import { variablesOf } from '@millrace/models/variables'
import { openProvider } from '@millrace/providers/open-provider'
import { expect, onTestFinished, test } from 'vitest'
import { startRun, temporaryFolder } from './run-model.ts'

const plain = (change: object = {}) => ({
  namespace: 'plain',
  type: 'text',
  input_schema: { type: 'object' },
  provider: { kind: 'http', url: 'http://host.test/' },
  ...change,
})

const yaml = `# what it is
namespace: vendor/Tall.1
type: text
aliases: [tall]
input_schema:
  type: object
  properties:
    text: { type: string, description: What to say }
provider:
  kind: http
  url: http://host.test/\${HOST_PATH}
  headers:
    authorization: Bearer \${HOST_TOKEN}
`

async function givenFolder(files: Record<string, string> = {}): Promise<string> {
  const folder = await temporaryFolder()
  onTestFinished(async () => folder[Symbol.asyncDispose]())
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder.path, name), text)
  return folder.path
}

const load = (...dirs: string[]) => loadCatalogue({ dirs, testModels: false })

test.each(['model.yaml', 'model.yml'])('a description may be written in YAML: %s', async (name) => {
  const { models, problems } = await load(await givenFolder({ [name]: yaml }))
  expect(problems).toEqual([])
  expect(models.get('vendor/Tall.1')).toMatchObject({
    aliases: ['tall'],
    provider: { kind: 'http', headers: { authorization: expect.stringMatching(/^Bearer .\{HOST_TOKEN\}$/) } },
  })
})

test.each([
  ['a.yaml', yaml.replace('type: text', 'type: poem'), 3, 'type: '],
  ['b.yaml', yaml.replace('  kind: http', '  kind: htp'), 10, 'provider.kind: '],
  ['c.yaml', yaml.replace('aliases', 'alias'), 4, 'alias: is not a field'],
  [
    'd.yaml',
    yaml.replace('type: string', 'type: strnig'),
    8,
    'input_schema.properties.text.type: The schema cannot be used: must',
  ],
  ['e.yaml', yaml.replace('[tall]', '[tall'), 5, 'is not YAML'],
  ['m.yaml', yaml.replace('  kind: http\n', ''), 9, 'provider.kind: must be one of command, '],
  ['n.yaml', yaml.replace('type: text\n', ''), 2, 'type: '],
  ['o.yaml', yaml.replace('namespace: vendor/Tall.1\n', ''), 2, 'namespace: is required'],
  ['f.yaml', yaml.replace('HOST_TOKEN', 'DATABASE_URL'), 13, "DATABASE_URL is the service's own"],
  ['g.yaml', yaml.replace('  url', '  uri'), 11, 'provider.uri: is not a field'],
  ['h.yaml', `${yaml}timeouts:\n  run: 0\n`, 15, 'timeouts.run: '],
  ['i.json', JSON.stringify(plain({ concurrency: 'many' }), null, 2), 11, 'concurrency: '],
  ['j.json', '{\n\t"namespace": "x",\n\t"type": text\n}', 3, 'is not JSON'],
  ['k.json', '{\n  "namespace": "x",\n', 3, 'is not JSON'],
  ['l.json', '[]', 1, 'model: '],
])('a mistake is told with its line: %s', async (name, text, line, reason) => {
  expect(describeText(`/models/${name}`, text).faults).toContainEqual({
    line,
    reason: expect.stringContaining(reason),
  })
})

test.each([
  [
    'a list that is not closed',
    yaml.replace('{ type: string', '{ enum: [a'),
    / \(and \d more from there on\)$/,
  ],
  ['a type that there is none of', yaml.replace('type: string', 'type: strnig'), /allowed values$/],
  ['a key that comes twice', `${yaml}type: image\n`, /unique$/],
])('one mistake is told once, at its first line: %s', (_what, text, reason) => {
  expect(describeText('/models/a.yaml', text).faults).toEqual([
    { line: expect.any(Number), reason: expect.stringMatching(reason) },
  ])
})

test('each mistake of a file is a problem of its own, and other files go on', async () => {
  const bad = yaml.replace('type: text', 'type: poem').replace('aliases', 'alias')
  const dir = await givenFolder({ 'a.yaml': bad, 'b.json': JSON.stringify(plain()) })
  const { models, problems } = await load(dir)
  expect([...models.keys()]).toEqual(['plain'])
  expect(problems.map(({ path, line }) => [path, line])).toEqual([
    [join(dir, 'a.yaml'), 3],
    [join(dir, 'a.yaml'), 4],
  ])
})

test('a file that cannot be looked at stops no other: one that is too deep, and a pipe that nobody writes', async () => {
  const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  const text = JSON.stringify(plain({ provider: { ...plain().provider, request: '@' } }))
  const dir = await givenFolder({
    'deep.json': text.replace('"@"', deep(4_000)),
    'deep.yaml': deep(4_000),
    'good.json': JSON.stringify(plain()),
  })
  execFileSync('mkfifo', [join(dir, 'pipe.yaml')])
  const { models, problems } = await load(dir)
  expect([...models.keys()]).toEqual(['plain'])
  expect(new Set(problems.map(({ path }) => path))).toEqual(
    new Set(['deep.json', 'deep.yaml', 'pipe.yaml'].map((name) => join(dir, name))),
  )
  expect(problems).toContainEqual({
    path: join(dir, 'pipe.yaml'),
    reason: 'The file cannot be read: it is no regular file',
  })
})

test.each([{ $ref: '#' }, { $ref: '#/$defs/a', $defs: { a: { allOf: [{ $ref: '#/$defs/a' }] } } }])(
  'a schema that refers to itself without end is refused before anybody is checked by it: %j',
  (schema) => {
    const text = JSON.stringify(plain({ input_schema: { type: 'object', ...schema } }))
    expect(describeText('/models/a.json', text).faults).toEqual([
      {
        line: 1,
        reason: expect.stringContaining('input_schema: The schema cannot be used: it refers to itself'),
      },
    ])
  },
)

test.each([
  ['openai', { base_url: 'http://gpu:8000/v1', api_key: 'sk-1234567890' }, 'provider.api_key'],
  ['replicate', { model: 'acme/a', token: 'r8_1' }, 'provider.token'],
  ['fal', { model: 'acme/a', key: 'id:word' }, 'provider.key'],
  [
    'http',
    { url: 'http://a.test/', headers: { Authorization: 'Bearer word' } },
    'provider.headers.Authorization',
  ],
  ['http', { url: 'http://a.test/', headers: { 'x-api-key': 'word' } }, 'provider.headers.x-api-key'],
  ['http', { url: 'http://me:word@a.test/' }, 'provider.url'],
  ['http', { url: 'http://a.test/?api_key=word' }, 'provider.url'],
  ['http', { url: 'http://a.test/?key=a-long-word' }, 'provider.url'],
  [
    'http',
    { url: 'http://a.test/', request: { auth: { api_key: 'word' } } },
    'provider.request.auth.api_key',
  ],
  ['cog', { url: 'http://me:word@a.test/' }, 'provider.url'],
  ['command', { command: ['cat'], env: { OPENAI_API_KEY: 'sk-1' } }, 'provider.env.OPENAI_API_KEY'],
])(
  'a secret that is written into a file is refused at its line, and not told: %s',
  (kind, settings, where) => {
    const text = JSON.stringify(plain({ provider: { kind, ...settings } }), null, 2)
    const { faults } = describeText('/models/a.json', text)
    const name = where.split('.').at(-1)
    const line = text.split('\n').findLastIndex((line) => line.includes(`"${name}"`)) + 1
    expect(faults).toEqual([{ line, reason: expect.stringContaining(`${where}: is a secret`) }])
    expect(JSON.stringify(faults)).not.toMatch(/word|sk-1|r8_1/)
  },
)

test.each([
  ...['', 'none', 'EMPTY', 'not-needed', 'ollama', 'lm-studio', 'sk-no-key-required', `\${KEY}`].map(
    (api_key) => ({
      kind: 'openai',
      base_url: 'http://gpu:8000/v1',
      api_key,
    }),
  ),
  {
    kind: 'http',
    url: `http://a.test/?key=\${KEY}`,
    headers: { authorization: 'Bearer none', accept: 'a/b' },
  },
  { kind: 'http', url: `http://me:\${WORD}@a.test/`, request: { key: 'C minor', max_tokens: 5, token: 'x' } },
  {
    kind: 'http',
    url: 'http://a.test/',
    headers: { 'idempotency-key': '{{ run.id }}', cookie: `a=\${WORD}` },
  },
  { kind: 'command', command: ['cat'], env: { PAD_TOKEN: '</s>', API_KEY: `\${API_KEY}` } },
])('what is no secret may be written: %j', (provider) => {
  expect(describeText('/models/a.json', JSON.stringify(plain({ provider }))).faults).toBeUndefined()
})

test('a mistake in a module is told with its line, where Node tells it', async () => {
  const dir = await givenFolder({
    'a.mjs': 'const fine = 1\nexport default {{',
    'b.ts': 'const fine: number = 1\nenum Colour { Red }\nexport default fine',
    'c.mjs': '\n\nthrow new Error("no weights")',
  })
  const { problems } = await load(dir)
  expect(problems.map(({ line }) => line)).toEqual([2, 2, 3])
})

test('a plain object in a folder of its own is a model without any import, in JavaScript and TypeScript', async () => {
  const body = `namespace: 'NAME', type: 'text', input_schema: { type: 'object', properties: { text: { type: 'string' } } }`
  const dir = await givenFolder({
    'js.mjs': `export default { ${body.replace('NAME', 'js')}, run: ({ text }) => text.toUpperCase() }`,
    'ts.ts': `export default { ${body.replace('NAME', 'ts')}, run: ({ text }: { text: string }) => text.toUpperCase() }`,
  })
  const { models, problems } = await load(dir)
  expect(problems).toEqual([])
  for (const description of models.values()) {
    const provider = openProvider(description)
    const { outcome } = startRun(provider, description, { text: 'mill' }, dir)
    expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'MILL' })
    await provider.close()
  }
  expect(models.size).toBe(2)
})

test('a model is found by its aliases, which hide no model and no alias of another', async () => {
  const dir = await givenFolder({
    'a.json': JSON.stringify(plain({ namespace: 'a', aliases: ['old-a', 'b', 'a'] })),
    'b.json': JSON.stringify(plain({ namespace: 'b', aliases: ['old-a', 'older-b'] })),
  })
  const { find, problems } = await load(dir)
  expect(['a', 'old-a', 'b', 'older-b', 'none'].map((slug) => find(slug)?.namespace)).toEqual([
    'a',
    'a',
    'b',
    'b',
    undefined,
  ])
  expect(problems).toEqual([
    { path: join(dir, 'a.json'), reason: 'The alias "b" is a model itself' },
    { path: join(dir, 'b.json'), reason: 'The alias "old-a" is an alias of "a" already' },
  ])
})

test('a version id is the same wherever the same files are, and another for every other state', async () => {
  const script = JSON.stringify(plain({ provider: { kind: 'command', command: ['sh', './run.sh'] } }))
  const files = { 'm.mjs': module('one'), 'h.yaml': yaml, 'c.json': script, 'run.sh': 'echo one' }
  const idsOf = async (changes: Record<string, string> = {}) => {
    const { models } = await load(await givenFolder({ ...files, ...changes }))
    return Object.fromEntries([...models].map(([name, { versionId }]) => [name, versionId]))
  }
  const ids = await idsOf()
  expect(Object.values(ids)).toEqual(Array(3).fill(expect.stringMatching(/^[0-9a-f]{64}$/)))
  expect(await idsOf()).toEqual(ids)

  const changed = await idsOf({ 'm.mjs': module('two'), 'h.yaml': `${yaml}#\n`, 'run.sh': 'echo two' })
  for (const [name, id] of Object.entries(ids)) expect(changed[name], name).not.toBe(id)
})

const module = (
  says: string,
) => `export default { namespace: 'm', type: 'text', input_schema: { type: 'object' },
  run: () => '${says}' }`

test('a file that became bad keeps its last good state, also for a process that begins after', async () => {
  const dir = await givenFolder({ 'm.mjs': module('good') })
  const { reader, look } = await givenReader(dir)
  const good = reader.catalogue().find('m')

  await writeFile(join(dir, 'm.mjs'), 'export default {\n {')
  await look()

  const { models, problems } = reader.catalogue()
  expect(models.get('m')).toBe(good)
  expect(problems).toEqual([
    {
      path: join(dir, 'm.mjs'),
      line: 2,
      reason: expect.stringContaining('its last good state is still served'),
    },
  ])
  if (!good) throw new Error('there was no good state')
  const provider = openProvider(good)
  expect(await startRun(provider, good, {}, dir).outcome).toMatchObject({ output: 'good' })
  await rm(join(dir, 'm.mjs'))
  await provider.close()
  expect(await startRun(provider, good, {}, dir).outcome).toMatchObject({ output: 'good' })
  await provider.close()

  await writeFile(join(dir, 'm.mjs'), module('better'))
  await look()
  expect(reader.catalogue().problems).toEqual([])
  expect(reader.catalogue().find('m')?.versionId).not.toBe(good.versionId)
})

test('a change is seen though size and time stay as they were, as on a file server with a coarse clock', async () => {
  const dir = await givenFolder({ 'm.mjs': module('one') })
  const path = join(dir, 'm.mjs')
  await utimes(path, 1, 1)
  const { reader, look } = await givenReader(dir)
  const before = reader.catalogue().find('m')?.versionId
  await writeFile(path, module('two'))
  await utimes(path, 1, 1)
  expect(await look()).toBe(true)
  expect(reader.catalogue().find('m')?.versionId).not.toBe(before)
})

test('nothing is described again while nothing changes, nor when a file is only touched', async () => {
  const dir = await givenFolder({ 'm.mjs': module('one') })
  const { look } = await givenReader(dir)
  expect(await look()).toBe(false)
  await utimes(join(dir, 'm.mjs'), 5, 5)
  expect(await look()).toBe(false)
})

test('a file that is away for one look, as while it is replaced, is no model that is gone', async () => {
  const dir = await givenFolder({ 'm.mjs': module('one') })
  const { reader, look } = await givenReader(dir)
  await rm(join(dir, 'm.mjs'))
  await look()
  expect(reader.catalogue().find('m')).toBeDefined()
  await look()
  expect(reader.catalogue().find('m')).toBeUndefined()
})

test('a folder that cannot be read for a while keeps its models', async () => {
  const dir = await givenFolder()
  const models = join(dir, 'models')
  await mkdir(models)
  await writeFile(join(models, 'm.mjs'), module('one'))
  const { reader, look } = await givenReader(models)
  await rename(models, join(dir, 'away'))
  for (const _ of [1, 2, 3]) await look()
  expect(reader.catalogue().find('m')).toBeDefined()
  expect(reader.catalogue().problems).toEqual([
    { path: models, reason: expect.stringContaining('cannot be read') },
  ])
})

test('a file behind a link that is turned to another, as mounted settings are, is another state', async () => {
  const dir = await givenFolder()
  for (const says of ['one', 'two']) {
    await mkdir(join(dir, says))
    await writeFile(join(dir, says, 'm.mjs'), module(says))
  }
  const models = join(dir, 'models')
  await mkdir(models)
  await symlink('../one/m.mjs', join(models, 'm.mjs'))
  const { reader, look } = await givenReader(models)
  await symlink('../two/m.mjs', join(models, '.next'))
  await rename(join(models, '.next'), join(models, 'm.mjs'))
  await look()
  const found = reader.catalogue().find('m')
  if (!found) throw new Error('the model is gone')
  const provider = openProvider(found)
  expect(await startRun(provider, found, {}, dir).outcome).toMatchObject({ output: 'two' })
  await provider.close()
})

async function givenReader(dir: string): Promise<{ reader: CatalogueReader; look(): Promise<boolean> }> {
  const reader = createCatalogueReader({ dirs: [dir], testModels: false })
  await reader.look()
  return { reader, look: () => reader.look() }
}

test.each([
  ['a cloud', { kind: 'replicate', token: `\${REPLICATE_TOKEN}`, model: 'acme/a' }, 'partner', 'replicate'],
  ["OpenAI's own address", { kind: 'openai', base_url: 'https://api.openai.com/v1' }, 'partner', 'openai'],
  [
    'one of several hosts that is OpenAI',
    {
      kind: 'openai',
      hosts: [{ base_url: 'http://gpu:8000/v1' }, { base_url: 'https://api.openai.com/v1' }],
    },
    'partner',
    'openai',
  ],
  ['a server of your own', { kind: 'openai', base_url: 'http://gpu:8000/v1' }, 'native', 'millrace'],
  [
    'a name that only looks alike',
    { kind: 'openai', base_url: 'https://openai.com.example/v1' },
    'native',
    'millrace',
  ],
])('who is given what is sent to %s is told', (_what, provider, type, inference_party) => {
  const stated = { namespace: 'a', type: 'text', input_schema: { type: 'object' }, provider }
  expect(describeSettings('/a.json', stated).service).toEqual({ type, inference_party })
  if (type === 'partner') {
    const denied = { ...stated, service: { type: 'native' } }
    expect(() => describeSettings('/a.json', denied)).toThrow('leaves the installation')
  }
})

const talker = (provider: object, change: object = {}) => ({
  namespace: 'talker',
  type: 'text',
  apis: ['chat'],
  provider: { kind: 'openai', ...provider },
  ...change,
})

test('a model that serves no predictions needs no schema, and one that does is told so', () => {
  const described = describeSettings('/a.yaml', talker({ base_url: 'http://gpu:8000/v1' }))
  expect(described).toMatchObject({ statesInput: true, input_schema: { type: 'object' } })
  expect(described.timeouts).toEqual({ start: 600, maxStart: 3600, run: 600, maxRun: 3600 })
  const both = talker({ base_url: 'http://gpu:8000/v1' }, { apis: ['chat', 'predictions'] })
  expect(() => describeSettings('/a.yaml', both)).toThrow('input_schema: is required')
})

test('a model that chats is shown with the three surfaces that serve it, and its lengths', () => {
  const described = describeSettings(
    '/a.yaml',
    talker({ base_url: 'http://gpu/v1' }, { context_length: 8192, max_output_tokens: 4096 }),
  )
  expect(presentModel(described, { schemas: [] })).toMatchObject({
    apis: [
      { name: 'chat', path: '/v1/chat/completions' },
      { name: 'responses', path: '/v1/responses' },
      { name: 'messages', path: '/v1/messages' },
    ],
    context_length: 8192,
    max_output_tokens: 4096,
  })
})

test('the hosts of a model have what is said of the model, and no key but their own', () => {
  const first = { base_url: 'http://a/v1', api_key: `\${ONE}`, model: 'x', max_running: 4 }
  const more = [
    { base_url: 'http://b/v1', weight: 2 },
    { base_url: 'http://c/v1', api_key: `\${THREE}`, model: 'y' },
  ]
  const hostsOf = (provider: object) => {
    const { provider: settled } = describeSettings('/a.yaml', talker(provider))
    if (settled.kind !== 'openai') throw new Error(settled.kind)
    return openaiHosts(settled)
  }
  expect(hostsOf({ ...first, hosts: more })).toEqual([
    { ...first, weight: 1 },
    { base_url: 'http://b/v1', model: 'x', weight: 2, max_running: 4 },
    { base_url: 'http://c/v1', api_key: `\${THREE}`, model: 'y', weight: 1, max_running: 4 },
  ])
  expect(hostsOf({ api_key: `\${ALL}`, hosts: more }).map(({ api_key }) => api_key)).toEqual([
    `\${ALL}`,
    `\${THREE}`,
  ])
})

test.each([
  ['no address', {}, 'provider.base_url: is required, or hosts'],
  ['no hosts', { hosts: [] }, 'provider.hosts: '],
  ['a weight of nothing', { hosts: [{ base_url: 'http://a/v1', weight: 0 }] }, 'provider.hosts.0.weight: '],
  [
    'a secret of the service',
    { hosts: [{ base_url: 'http://a', api_key: `\${MASTER_KEY}` }] },
    "service's own",
  ],
  ['a word nobody knows', { hosts: [{ url: 'http://a/v1' }] }, 'provider.hosts.0'],
  ['a tongue nobody speaks', { base_url: 'http://a/v1', speaks: ['assembler'] }, 'provider.speaks.0: '],
])('a model at hosts with %s is a mistake', (_what, provider, reason) => {
  expect(() => describeSettings('/a.yaml', talker(provider))).toThrow(reason)
})

test('each variable that a host of several needs is one that the model needs', () => {
  const provider = { base_url: 'http://a/v1', hosts: [{ base_url: `\${HOST_B}`, api_key: `\${KEY_B}` }] }
  expect(variablesOf(describeSettings('/a.yaml', talker(provider)))).toEqual(['HOST_B', 'KEY_B'])
})
