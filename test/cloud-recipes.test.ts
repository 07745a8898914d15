import { readFile } from 'node:fs/promises'
import { describeSettings } from '@millrace/models/description'
import { createValidator } from '@millrace/models/validate'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import * as fal from './hosts/fal.ts'
import * as replicate from './hosts/replicate.ts'
import { openRuns } from './remote-run.ts'

const page = await readFile(new URL('../docs/hosts.md', import.meta.url), 'utf8')
const recipes = [...page.matchAll(/^```yaml\n# (models\/\S+)\n(.*?)^```$/gms)]
  .map(([, file = '', text = '']) => ({ file, text, stated: parse(text) }))
  .filter(({ stated }) => ['replicate', 'fal'].includes(stated.provider.kind))

test.each(recipes)('the recipe $file runs as it is written', async ({ file, text, stated }) => {
  const { kind, model } = stated.provider
  const does = { do: ['image', 'video'].includes(stated.type) ? 'file' : 'succeed', text: 'made of words' }
  const host =
    kind === 'fal'
      ? await fal.openHost({ serves: model.split('/').slice(0, 2).join('/'), does })
      : await replicate.openHost({ serves: model, does })
  onTestFinished(() => host.close())

  // Where the cloud is, is all that differs.
  const description = describeSettings(`/${file}`, {
    ...stated,
    provider: { ...stated.provider, base_url: host.url },
  })
  expect(text).toMatch(/^ {2}(token|key): \$\{\w+\}$/m)
  const { start } = await openRuns(description, {
    environment: { REPLICATE_TOKEN: replicate.token, FAL_KEY: fal.key },
  })
  const given: Record<string, unknown> = {}
  for (const name of stated.input_schema.required) {
    given[name] = stated.input_schema.properties[name].format === 'uri' ? 'data:text/plain,file' : 'a heron'
  }
  const checked = createValidator(description)(given)
  const outcome = await start(checked.ok ? checked.input : {}).outcome

  expect(outcome).toMatchObject({ kind: 'succeeded' })
  const { output } = outcome as { output?: unknown }
  if (does.do === 'file') expect(output).toEqual([expect.objectContaining({ $file: expect.any(String) })])
  else expect(JSON.stringify(output)).toContain('MADE OF WORDS')
})

test('both clouds have recipes', () => {
  expect(new Set(recipes.map(({ stated }) => stated.provider.kind)).size).toBe(2)
})
