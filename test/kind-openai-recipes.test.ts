import { describeSettings } from '@millrace/models/description'
import { createValidator } from '@millrace/models/validate'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { openHost } from './hosts/openai.ts'
import { apiKey, picture } from './hosts/openai-exchange.ts'
import { begin, givenFile } from './openai-runs.ts'
import { blocksOf, freePorts } from './pages.ts'

const recipes = (await blocksOf('docs/hosts.md', await freePorts()))
  .filter(({ text }) => text.includes('kind: openai'))
  .map(({ file = '', text }) => ({ file, stated: parse(text) }))
  .filter(({ file, stated }) => describeSettings(file, stated).apis.includes('predictions'))

test('every recipe of the page for predictions runs as it is written', async () => {
  const host = await openHost('images')
  onTestFinished(() => host.close())
  const image = await givenFile('a.png', picture)
  const audio = await givenFile('a.wav', Buffer.from('RIFF____WAVEfmt '))
  const runs: Record<string, { input: Record<string, unknown>; files?: Record<string, string> }[]> = {
    picture: [
      { input: { prompt: 'A mill' } },
      { input: { prompt: 'Redder', n: 2, partial_images: 2 }, files: { image } },
    ],
    say: [{ input: { text: 'Hello', speed: 1.5 } }],
    transcript: [{ input: { language: 'en' }, files: { audio } }],
    film: [{ input: { prompt: 'A mill turns' }, files: { input_reference: image } }],
  }
  expect(recipes.map(({ stated }) => stated.namespace)).toEqual(Object.keys(runs))
  for (const { file, stated } of recipes) {
    // Where the host is, and that this one asks for a key, is all that differs.
    const here = { base_url: host.url, api_key: `\${OPENAI_API_KEY}` }
    const recipe = describeSettings(file, { ...stated, provider: { ...stated.provider, ...here } })
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

test('a recipe names a model that its host has, and sends nothing away unsaid', () => {
  for (const { file, stated } of recipes) {
    const { service, provider } = describeSettings(file, stated)
    if (provider.kind !== 'openai') throw new Error(`${file} is of another kind`)
    const isOpenai = provider.base_url === 'https://api.openai.com/v1'
    expect(service.type, file).toBe(isOpenai ? 'partner' : 'native')
    expect(provider.api_key, file).toBe(isOpenai ? `\${OPENAI_API_KEY}` : undefined)
    expect(/^(gpt-|dall-e|tts-|whisper-1|sora)/.test(provider.model ?? ''), file).toBe(isOpenai)
  }
})
