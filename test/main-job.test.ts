import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Prediction } from '@millrace/contract/prediction'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { drawnPage } from './drawn-page.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service

beforeAll(async () => {
  // As the compose file has it: two apis, two workers, one dispatcher, a Postgres and a Redis of their own.
  service = await startService({ queue: 'redis', apis: 2, workers: 2 })
})
afterAll(() => service?.stop())

test('ocr reads the scanned page of the fixtures', async () => {
  const page = await readFile(new URL('fixtures/scanned-page.jpg', import.meta.url))
  const expected = await readFile(new URL('fixtures/scanned-page.txt', import.meta.url), 'utf8')

  const { status, output } = await predict('ocr', { image: dataUrl('image/jpeg', page) })

  expect(status).toBe('succeeded')
  const { text, confidence, words } = output as Page
  expect(wordsOf(text)).toEqual(wordsOf(expected))
  expect(confidence).toBeGreaterThan(80)
  expect(words[0]).toMatchObject({
    text: wordsOf(expected)[0],
    box: expect.any(Object),
    confidence: expect.any(Number),
  })
})

test('ocr reads a page that nobody has seen before', async () => {
  const numbers = Array.from(randomBytes(4), (byte) => String(1000 + byte * 7))
  const lines = [
    'Delivery note',
    `Number ${numbers[0]} of ${numbers[1]}`,
    `Weight ${numbers[2]} grams`,
    `Paid ${numbers[3]} crowns`,
  ]

  const uploaded = await upload(await drawnPage(lines))
  const { output } = await predict('ocr', { image: uploaded })

  expect(wordsOf((output as Page).text)).toEqual(lines.flatMap(wordsOf))
})

test("doodle's picture goes into upscale as it is", async () => {
  const drawn = await predict('doodle', { prompt: 'a heron on one leg', width: 320, height: 200 })
  const [url = ''] = drawn.output as string[]

  const enlarged = await predict('upscale', { image: url, scale: 2 })

  const [larger = ''] = enlarged.output as string[]
  expect(await sharp(await download(url)).metadata()).toMatchObject({
    format: 'png',
    width: 320,
    height: 200,
  })
  expect(await sharp(await download(larger)).metadata()).toMatchObject({ width: 640, height: 400 })
})

test('the same seed and prompt give the same picture, another seed another', async () => {
  const input = { prompt: 'hills', seed: 7, width: 256, height: 256 }

  const pictures = await Promise.all([input, input, { ...input, seed: 8 }].map(picture))

  const [first, second, other] = pictures
  expect(first?.equals(second ?? Buffer.of())).toBe(true)
  expect(first?.equals(other ?? Buffer.of())).toBe(false)
})

test('doodle-video gives a picture that moves', async () => {
  const { output } = await predict('doodle-video', { prompt: 'tide', frames: 6, width: 160, height: 160 })

  const { pages } = await sharp(await download((output as string[])[0] ?? ''), { animated: true }).metadata()
  expect(pages).toBe(6)
})

test('what is created on one api runs on any worker and is fetched from another api', async () => {
  const [, second = ''] = service.urls
  const { output } = await predict('doodle', { prompt: 'two houses', width: 128, height: 128 })
  const url = new URL((output as string[])[0] ?? '')
  const other = new URL(second)
  url.port = other.port

  const fetched = await fetch(url)

  expect(fetched.status).toBe(200)
  expect(fetched.headers.get('content-type')).toBe('image/png')
  const workers = service.processes.filter(({ app }) => app === 'worker')
  // A process may write its log a moment after the answer.
  await expect.poll(() => workers.some((worker) => worker.log().includes('"model":"doodle"'))).toBe(true)
})

test('both workers take part when there is more to do than one of them can hold', async () => {
  await Promise.all(Array.from({ length: 40 }, () => predict('echo', { text: 'hello', delay_ms: 400 })))

  const busy = service.processes.filter(
    (running) => running.app === 'worker' && running.log().includes('"model":"echo"'),
  )
  expect(busy).toHaveLength(2)
})

async function picture(input: object): Promise<Buffer> {
  const { output } = await predict('doodle', input)
  return download((output as string[])[0] ?? '')
}

async function predict(model: string, input: object): Promise<Prediction> {
  const reply = await fetch(`${service.url}/v1/predictions`, {
    method: 'POST',
    headers: { 'x-api-key': service.apiKey, 'content-type': 'application/json' },
    body: JSON.stringify({ model, input, await: true }),
  })
  const prediction = (await reply.json()) as Prediction
  expect(prediction.error ?? null).toBeNull()
  return prediction
}

async function upload(page: Buffer): Promise<string> {
  const form = new FormData()
  form.set('file', new Blob([Uint8Array.from(page)], { type: 'image/png' }), 'page.png')
  const reply = await fetch(`${service.url}/v1/files`, {
    method: 'POST',
    headers: { 'x-api-key': service.apiKey },
    body: form,
  })
  expect(reply.status).toBe(201)
  return ((await reply.json()) as { url: string }).url
}

async function download(url: string): Promise<Buffer> {
  const reply = await fetch(url)
  expect(reply.status).toBe(200)
  return Buffer.from(await reply.arrayBuffer())
}

const dataUrl = (type: string, bytes: Buffer): string => `data:${type};base64,${bytes.toString('base64')}`

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter(Boolean)
}

interface Page {
  text: string
  confidence: number
  words: { text: string; box: object; confidence: number }[]
}
