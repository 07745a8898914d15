import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { defineModel } from '@millrace/models/define-model'
import { fileInput } from '@millrace/models/schema'
import sharp from 'sharp'
import { createWorker, type Page, type Worker } from 'tesseract.js'
import { z } from 'zod'

const box = z.object({
  x0: z.int().describe('Left edge, in pixels'),
  y0: z.int().describe('Upper edge'),
  x1: z.int().describe('Right edge'),
  y1: z.int().describe('Lower edge'),
})

const confidence = z.number().min(0).max(100)

export default defineModel({
  namespace: 'ocr',
  name: 'OCR',
  type: 'text',
  description:
    'Reads the English text of a scanned page or a photograph of one: Tesseract with its bundled English data.',
  capabilities: ['image-to-text', 'json'],
  idleSeconds: 600,
  input: z.object({ image: fileInput('The page: PNG, JPEG, WebP, AVIF, GIF or TIFF') }),
  output: z.object({
    text: z.string().describe('The text of the page, line by line'),
    confidence: confidence.describe('How sure the reading is, 0 to 100'),
    words: z
      .array(
        z.object({
          text: z.string().describe('The word'),
          box: box.describe('Where it is on the page'),
          confidence: confidence.describe('How sure the reading of this word is'),
        }),
      )
      .describe('Every word with its place'),
  }),
  async setup() {
    const reader: Reader = { report: () => undefined, worker: undefined }
    reader.worker = await createWorker('eng', 1, {
      // From the package, never from the network, and without the cache file it would leave in the current folder.
      langPath: join(
        dirname(createRequire(import.meta.url).resolve('@tesseract.js-data/eng')),
        '4.0.0_best_int',
      ),
      cacheMethod: 'none',
      logger: ({ status, progress }) => status === 'recognizing text' && reader.report(progress),
      // Else an unreadable page would end the process.
      errorHandler: () => undefined,
    })
    return reader
  },
  async run({ image }, { state, progress }) {
    state.report = (part) => progress(part * 100)
    const page = await upright(image)
    const { data } = (await state.worker?.recognize(page, {}, { text: true, blocks: true })) ?? {}
    if (!data) {
      throw new Error('The reader has not started')
    }
    return { ...readPage(data), confidence: data.confidence }
  },
})

/** Tesseract knows neither WebP animations nor a camera's orientation, and reads grey best. */
async function upright(image: string): Promise<Buffer> {
  try {
    return await sharp(image, { limitInputPixels: 100_000_000 })
      .rotate()
      .flatten({ background: '#fff' })
      .greyscale()
      .png()
      .toBuffer()
  } catch {
    throw new Error('image is not a picture that can be read')
  }
}

/** Words and text from one place, so that they agree. */
function readPage({ blocks }: Page) {
  const paragraphs = (blocks ?? [])
    .flatMap(({ paragraphs }) => paragraphs)
    .map(({ lines }) => lines.map(({ words }) => words.filter(isWord)).filter((line) => line.length > 0))
    .filter((lines) => lines.length > 0)
  const textOf = (lines: { text: string }[][]) =>
    lines.map((words) => words.map(({ text }) => text).join(' ')).join('\n')
  return {
    text: paragraphs.map(textOf).join('\n\n'),
    words: paragraphs.flat(2).map(({ text, bbox: { x0, y0, x1, y1 }, confidence }) => ({
      text,
      box: { x0, y0, x1, y1 },
      confidence,
    })),
  }
}

/** Stains and the edge of the paper read as letters that Tesseract itself does not believe in. */
function isWord({ confidence }: { confidence: number }): boolean {
  return confidence >= 10
}

interface Reader {
  worker: Worker | undefined
  report(part: number): void
}
