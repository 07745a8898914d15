import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadCatalogue } from '@millrace/models/catalogue'
import { fileFields, replaceFiles } from '@millrace/models/file-fields'
import { presentModel } from '@millrace/models/present-model'
import { shippedModelsDir } from '@millrace/models/shipped-models'
import { createValidator } from '@millrace/models/validate'
import { expect, test } from 'vitest'
import { shippedModel, temporaryFolder } from './run-model.ts'

const shout = `export default { namespace: 'Vendor/Shout.1', type: 'text',
  input_schema: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } },
  run: ({ text }) => text.toUpperCase() }`

test('every shipped model is listed, and the ones for tests only where they are asked for', async () => {
  const { models, problems } = await loadCatalogue({ dirs: [shippedModelsDir()], testModels: false })

  expect(problems).toEqual([])
  expect([...models.keys()]).toEqual([
    'doodle',
    'doodle-video',
    'echo',
    'hash-embed',
    'ocr',
    'parrot',
    'send-email',
    'upscale',
    'web-page',
  ])
  expect((await shippedModel('chaos')).testOnly).toBe(true)
})

test('every field of a shipped model has a title, a description and its place in a form', async () => {
  const { models } = await loadCatalogue({ dirs: [shippedModelsDir()], testModels: true })
  for (const { input_schema, output_schema, description, apis } of models.values()) {
    expect(description).not.toBe('')
    // What inference answers is of its protocol.
    if (apis.includes('predictions')) expect(output_schema).toHaveProperty('type')
    Object.values(input_schema.properties as object).forEach((field, order) => {
      expect(field).toMatchObject({
        title: expect.any(String),
        description: expect.any(String),
        'x-order': order,
      })
    })
  }
})

test('a file that cannot be a model is refused with its reason and stops no other', async () => {
  await using folder = await temporaryFolder()
  const files = {
    'a-exits.ts': 'process.exit(3)',
    'b-broken.ts': 'export default {{',
    'c-empty.ts': 'export const model = 1',
    'd-schema.mjs': shout.replace("type: 'string'", "type: 'strnig'"),
    'e-text.json': '{',
    'f-shout.mjs': shout,
    'g-again.mjs': shout,
  }
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder.path, name), text)))

  const { models, problems } = await loadCatalogue({
    dirs: [folder.path, join(folder.path, 'none')],
    testModels: false,
  })

  expect([...models.keys()]).toEqual(['Vendor/Shout.1'])
  expect(models.get('Vendor/Shout.1')?.file).toMatch(/f-shout\.mjs$/)
  const refused = Object.fromEntries(
    problems.map(({ path, reason }) => [path.slice(folder.path.length + 1), reason]),
  )
  expect(refused).toEqual({
    'a-exits.ts': expect.stringContaining('ends the process'),
    'b-broken.ts': expect.any(String),
    'c-empty.ts': expect.stringContaining('no default export'),
    'd-schema.mjs': expect.stringContaining('schema cannot be used'),
    'e-text.json': expect.stringContaining('JSON'),
    'g-again.mjs': expect.stringContaining('already the model of'),
    none: expect.stringContaining('cannot be read'),
  })
})

test("one's own model replaces a shipped one of the same name, and the catalogue says so", async () => {
  await using folder = await temporaryFolder()
  await writeFile(join(folder.path, 'mine.mjs'), shout.replace('Vendor/Shout.1', 'echo'))

  const { models, problems } = await loadCatalogue({
    dirs: [shippedModelsDir(), folder.path],
    testModels: false,
  })

  expect(models.get('echo')?.file).toBe(join(folder.path, 'mine.mjs'))
  expect(problems).toEqual([
    {
      path: join(shippedModelsDir(), 'echo.ts'),
      reason: expect.stringContaining('replaced'),
      harmless: true,
    },
  ])
})

test('an input gets its defaults, on a copy, and every wrong field is named', async () => {
  const validate = createValidator(await shippedModel('doodle'))
  const input = { prompt: 'a cat' }

  expect(validate(input)).toEqual({
    ok: true,
    input: { prompt: 'a cat', width: 768, height: 768, steps: 40 },
  })
  expect(input).toEqual({ prompt: 'a cat' })
  const refused = validate({ width: 1, height: 'tall', steps: 2.5 })
  expect(refused.ok ? [] : refused.fields.map(({ path }) => path).sort()).toEqual([
    'height',
    'prompt',
    'steps',
    'width',
  ])
})

test.each(['/etc/passwd', 'page.png', 3])('a file field refuses %s', async (image) => {
  const validate = createValidator(await shippedModel('upscale'))
  expect(validate({ image })).toMatchObject({ ok: false, fields: [{ path: 'image' }] })
})

test('the files of an input are found and replaced wherever the schema has them', () => {
  const file = { type: 'string', format: 'uri' }
  const schema = {
    type: 'object',
    properties: {
      page: file,
      note: { type: 'string' },
      more: { type: 'array', items: { type: 'object', properties: { file } } },
    },
  }
  const input = { page: 'data:,a', note: 'https://not.a/file', more: [{ file: 'https://b/' }] }

  const found = fileFields(schema, input)

  expect(found).toEqual([
    { path: ['page'], url: 'data:,a' },
    { path: ['more', 0, 'file'], url: 'https://b/' },
  ])
  expect(
    replaceFiles(
      input,
      found.map(({ path, url }) => ({ path, value: `got ${url}` })),
    ),
  ).toEqual({
    page: 'got data:,a',
    note: 'https://not.a/file',
    more: [{ file: 'got https://b/' }],
  })
})

test('a model is presented with every key, and with the schemas that were asked for', async () => {
  const model = await shippedModel('ocr')

  expect(presentModel(model, { schemas: [] })).toMatchObject({
    namespace: 'ocr',
    type: 'text',
    input_schema: {},
    output_schema: {},
  })
  expect(presentModel(model, { schemas: ['input_schema'] })).toMatchObject({
    input_schema: model.input_schema,
    output_schema: {},
  })
})
