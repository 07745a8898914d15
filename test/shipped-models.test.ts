import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openProvider } from '@millrace/providers/open-provider'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { logOf, shippedModel, startRun, temporaryFolder } from './run-model.ts'

const fixtures = join(import.meta.dirname, 'fixtures')
const page = join(fixtures, 'scanned-page.jpg')

/** Runs a shipped model once; file fields get their path after validation, as from a worker. */
async function runShipped(name: string, input: Record<string, unknown>, workDir: string) {
  const description = await shippedModel(name)
  const provider = openProvider(description)
  const { image, ...rest } = input
  const files = image === undefined ? {} : { image: 'data:,' }
  const fetched = {
    ...provider,
    run: (request: Parameters<typeof provider.run>[0]) =>
      provider.run({ ...request, input: { ...request.input, ...(image === undefined ? {} : { image }) } }),
  }
  const { outcome, events } = startRun(fetched, description, { ...rest, ...files }, workDir)
  const ended = await outcome
  await provider.close()
  return { ended, events, output: ended.kind === 'succeeded' ? ended.output : ended }
}

function pathOf(output: unknown): string {
  return (output as [{ $file: string }])[0].$file
}

async function digestOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}

test('ocr reads a scanned page: its text, and where each word is', async () => {
  await using folder = await temporaryFolder()
  const { output, events } = await runShipped('ocr', { image: page }, folder.path)
  const { text, words, confidence } = output as {
    text: string
    words: { text: string; box: object }[]
    confidence: number
  }

  const expected = await readFile(join(fixtures, 'scanned-page.txt'), 'utf8')
  expect(text.split(/\s+/)).toEqual(expected.trim().split(/\s+/))
  expect(confidence).toBeGreaterThan(80)
  expect(words.find((word) => word.text === 'Calliope')?.box).toMatchObject({
    x0: expect.any(Number),
    y1: expect.any(Number),
  })
  expect(events.some(({ kind }) => kind === 'progress')).toBe(true)
})

test('doodle paints the same bytes for the same prompt and seed, and others for another', async () => {
  await using folder = await temporaryFolder()
  const input = { prompt: 'a lake under the moon', seed: 11, width: 200, height: 120 }
  const [one, same, other] = await Promise.all([
    runShipped('doodle', input, folder.path),
    runShipped('doodle', input, folder.path),
    runShipped('doodle', { ...input, seed: 12 }, folder.path),
  ])

  expect(await sharp(pathOf(one.output)).metadata()).toMatchObject({ format: 'png', width: 200, height: 120 })
  expect(await digestOf(pathOf(same.output))).toBe(await digestOf(pathOf(one.output)))
  expect(await digestOf(pathOf(other.output))).not.toBe(await digestOf(pathOf(one.output)))
  expect(logOf(one.events)).toContain('seed 11')
})

test('doodle-video paints an animated picture with the frames it was asked for', async () => {
  await using folder = await temporaryFolder()
  const { output } = await runShipped(
    'doodle-video',
    { prompt: 'wind', seed: 1, width: 96, height: 64, frames: 5 },
    folder.path,
  )
  expect(await sharp(pathOf(output)).metadata()).toMatchObject({ format: 'webp', pages: 5, width: 96 })
})

test('upscale makes a picture as many times larger as was asked', async () => {
  await using folder = await temporaryFolder()
  const image = join(folder.path, 'small.png')
  await sharp({ create: { width: 40, height: 30, channels: 4, background: '#0af8' } })
    .png()
    .toFile(image)
  const { output } = await runShipped('upscale', { image, scale: 3 }, folder.path)
  expect(await sharp(pathOf(output)).metadata()).toMatchObject({
    format: 'png',
    width: 120,
    height: 90,
    hasAlpha: true,
  })
})

test.each(['ocr', 'upscale'])('%s says so when its image is none', async (name) => {
  await using folder = await temporaryFolder()
  const { ended } = await runShipped(name, { image: join(fixtures, 'scanned-page.txt') }, folder.path)
  expect(ended).toMatchObject({
    kind: 'failed',
    code: 'MODEL_ERROR',
    detail: 'image is not a picture that can be read',
  })
})

test('echo returns its input without the control fields, in as many parts as were asked for', async () => {
  await using folder = await temporaryFolder()
  const { output, events } = await runShipped(
    'echo',
    { a: 'é😀', b: [1], chunks: 4, log: 'hi', delay_ms: 4 },
    folder.path,
  )
  const parts = events.flatMap((event) => (event.kind === 'output' ? [event.delta] : []))

  expect(output).toEqual({ a: 'é😀', b: [1] })
  expect(parts).toHaveLength(4)
  expect(JSON.parse(parts.join(''))).toEqual(output)
  expect(logOf(events)).toBe('hi\n')
})

test.each([
  ['one two three', 3, ['one ', 'two ', 'three']],
  ['  one two three four ', 2, ['  one two ', 'three four ']],
  ['é😀', 2, ['é', '😀']],
  ['', 2, ['', '']],
])(
  'echo streams a text as a text, word by word where there are enough: %j in %i',
  async (text, chunks, wanted) => {
    await using folder = await temporaryFolder()
    const { output, events } = await runShipped('echo', { text, chunks, delay_ms: 4 }, folder.path)
    expect(output).toEqual({ text })
    const parts = events.flatMap((event) => (event.kind === 'output' ? [event.delta] : []))
    expect(parts).toEqual(wanted)
  },
)

test('echo fails with the message it was given', async () => {
  await using folder = await temporaryFolder()
  const { ended } = await runShipped('echo', { fail: 'as asked' }, folder.path)
  expect(ended).toMatchObject({ kind: 'failed', code: 'MODEL_ERROR', detail: 'as asked' })
})
