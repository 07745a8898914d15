import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { loadCatalogue } from '@millrace/models/catalogue'
import { openProvider } from '@millrace/providers/open-provider'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { startRun, temporaryFolder } from './run-model.ts'

// The recipes of docs/models.md as they are written, with the real tools.

test.skipIf(!(await has('espeak-ng')))('espeak-ng reads a text aloud', async () => {
  await using folder = await temporaryFolder()
  const { ended } = await run('speak', { text: 'The wheel turns.' }, folder.path)
  const { output } = ended as { output: [{ $file: string; contentType: string }] }
  expect(output).toMatchObject([{ contentType: 'audio/wav', name: 'speech.wav' }])
  const sound = await readFile(output[0].$file)
  expect([sound.toString('latin1', 0, 4), sound.toString('latin1', 8, 12)]).toEqual(['RIFF', 'WAVE'])
  expect(sound.length).toBeGreaterThan(20_000)
})

test.skipIf(!(await has('espeak-ng')))('a voice that nobody has fails with what espeak-ng says', async () => {
  await using folder = await temporaryFolder()
  const { ended } = await run('speak', { text: 'Hello', voice: 'xx-nobody' }, folder.path)
  expect(ended).toMatchObject({
    kind: 'failed',
    code: 'MODEL_ERROR',
    detail: expect.stringMatching(/voice/i),
  })
})

test.skipIf(!(await has('ffmpeg')))('ffmpeg makes a video of pictures, and says how far it is', async () => {
  await using folder = await temporaryFolder()
  const pictures = await Promise.all(
    ['#0b6e4f', '#c5ccd3', '#1f2328'].map(async (background, index) => {
      const path = join(folder.path, `${index}.png`)
      await sharp({ create: { width: 160, height: 90, channels: 3, background } })
        .png()
        .toFile(path)
      return path
    }),
  )
  const { ended, events } = await run('slideshow', { seconds: 4, width: 640, height: 360 }, folder.path, {
    pictures,
  })
  const { output } = ended as { output: [{ $file: string }] }
  expect((await stat(output[0].$file)).size).toBeGreaterThan(1_000)
  const asked = [
    '-v',
    'error',
    '-show_entries',
    'stream=width,height,duration',
    '-of',
    'json',
    output[0].$file,
  ]
  const { stdout } = await promisify(execFile)('ffprobe', asked)
  const [stream] = JSON.parse(stdout).streams
  expect({ ...stream, duration: Number(stream.duration) }).toMatchObject({
    width: 640,
    height: 360,
    duration: 12,
  })
  const progress = events.flatMap((event) => (event.kind === 'progress' ? [event.percent] : []))
  expect(progress.some((percent) => percent > 0 && percent <= 100)).toBe(true)
  expect(progress).toEqual([...progress].sort((one, other) => one - other))
})

/** Runs an example; `files` are paths already, as a worker has them. */
async function run(
  name: string,
  input: Record<string, unknown>,
  workDir: string,
  files: Record<string, unknown> = {},
) {
  const { models } = await loadCatalogue({
    dirs: [join(import.meta.dirname, '../docs/examples')],
    testModels: false,
  })
  const description = models.get(name)
  if (!description) throw new Error(`${name} is no example`)
  const provider = openProvider(description)
  const begin: typeof provider.run = (request) =>
    provider.run({ ...request, input: { ...request.input, ...files } })
  try {
    const addresses = Object.fromEntries(Object.keys(files).map((field) => [field, ['data:,']]))
    const started = startRun({ ...provider, run: begin }, description, { ...input, ...addresses }, workDir)
    return { ended: await started.outcome, events: started.events }
  } finally {
    await provider.close()
  }
}

async function has(command: string): Promise<boolean> {
  const found = await promisify(execFile)('sh', ['-c', `command -v ${command}`]).catch(() => undefined)
  return found !== undefined
}
