import { readFile } from 'node:fs/promises'
import { describeSettings } from '@millrace/models/description'
import { createOutputValidator, createValidator } from '@millrace/models/validate'
import { createGuard } from '@millrace/outbound/guard'
import { openProvider } from '@millrace/providers/open-provider'
import { isFileValue } from '@millrace/providers/output-parts'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { blocksOf } from './pages.ts'
import { recipes } from './recipes.ts'
import { temporaryFolder } from './run-model.ts'

const ports = { 3000: 3000, 4000: 4000, 8000: 8000 }
// Those of the other kinds are run by the tests of their kinds.
const blocks = (await blocksOf('docs/hosts.md', ports)).filter(
  ({ language, text }) => /^(ya?ml|json)$/.test(language) && /kind: http\b/.test(text),
)

test('every recipe of docs/hosts.md for any endpoint is a file that is run here, and no other is', () => {
  expect(blocks.map(({ file }) => file).sort()).toEqual(Object.keys(recipes).sort())
})

test.each(blocks)('the recipe works as it is written: $file', async ({ file = '', text }) => {
  const recipe = recipes[file]
  if (!recipe) throw new Error(`test/recipes.ts does not say what ${file} is aimed at`)
  const { environment, settings, callback, close } = await recipe.open()
  onTestFinished(close)
  // The name of a file is a comment, which JSON does not have.
  const stated = parse(text.replace(/^\/\/.*\n/, ''))
  const description = describeSettings(`/${file}`, {
    ...stated,
    provider: { ...stated.provider, ...settings },
  })
  const checked = createValidator(description)(recipe.input)
  createOutputValidator(description)
  const guard = createGuard({ allow: [], loopback: true })
  const provider = openProvider(description, { environment, guard })
  await using work = await temporaryFolder()

  const outcome = await provider.run({
    id: 'a-prediction',
    attempt: 1,
    input: checked.ok ? checked.input : {},
    workDir: work.path,
    signal: AbortSignal.timeout(20_000),
    callback,
    async keep() {},
    emit: () => undefined,
  })

  expect(checked).toMatchObject({ ok: true })
  expect(outcome).toMatchObject({ kind: 'succeeded' })
  expect(outcome.kind === 'succeeded' && (await shown(outcome.output))).toEqual(recipe.output)
})

/** An output with each file as its name and what is in it. */
async function shown(value: unknown): Promise<unknown> {
  if (isFileValue(value)) return { name: value.name, bytes: await readFile(value.$file, 'utf8') }
  return Array.isArray(value) ? Promise.all(value.map(shown)) : value
}
