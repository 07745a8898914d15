import { describeSettings } from '@millrace/models/description'
import { createValidator } from '@millrace/models/validate'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { openHost } from './hosts/openai.ts'
import { apiKey, picture } from './hosts/openai-exchange.ts'
import { begin, givenFile } from './openai-runs.ts'
import { blocksOf, freePorts } from './pages.ts'

test('every recipe of the page for predictions runs as it is written', async () => {
  const ports = await freePorts()
  const host = await openHost('images', { port: Number(ports[8000]) })
  onTestFinished(() => host.close())
  const recipes = (await blocksOf('docs/hosts.md', ports))
    .map(({ file, text }) => describeSettings(file ?? '', parse(text)))
    .filter(({ provider, apis }) => provider.kind === 'openai' && apis.includes('predictions'))
  const image = await givenFile('a.png', picture)
  const audio = await givenFile('a.wav', Buffer.from('RIFF____WAVEfmt '))
  const runs: Record<string, { input: Record<string, unknown>; files?: Record<string, string> }[]> = {
    picture: [
      { input: { prompt: 'A mill' } },
      { input: { prompt: 'Redder', n: 2, partial_images: 2 }, files: { image } },
    ],
    say: [{ input: { text: 'Hello', instructions: 'calm' } }],
    transcript: [{ input: { language: 'en' }, files: { audio } }],
    film: [{ input: { prompt: 'A mill turns' }, files: { input_reference: image } }],
  }
  expect(recipes.map(({ namespace }) => namespace)).toEqual(Object.keys(runs))
  for (const recipe of recipes) {
    for (const { input, files = {} } of runs[recipe.namespace] ?? []) {
      // A client names files by address, and the worker brings them.
      const named = Object.fromEntries(Object.keys(files).map((key) => [key, 'https://files.invalid/a']))
      const checked = createValidator(recipe)({ ...input, ...named })
      if (!checked.ok) throw new Error(JSON.stringify(checked.fields))
      const environment = { OPENAI_API_KEY: apiKey }
      const { outcome } = await begin(recipe, { ...checked.input, ...files }, { environment })
      expect(await outcome, recipe.namespace).toMatchObject({ kind: 'succeeded' })
    }
  }
  const posted = host.asked.filter(({ method }) => method === 'POST').map(({ path }) => path)
  expect(posted).toEqual([
    '/v1/images/generations',
    '/v1/images/edits',
    '/v1/audio/speech',
    '/v1/audio/transcriptions',
    '/v1/videos',
  ])
})
