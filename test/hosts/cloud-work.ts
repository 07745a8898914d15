import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'

/** What a model of the fake clouds does with an input, told by the input. Nothing that it says comes in one lump. */
export async function performWork(job: CloudJob): Promise<void> {
  try {
    await work(job)
  } catch (error) {
    job.fail('model', String(error))
  }
}

async function work(job: CloudJob): Promise<void> {
  const { prompt = '', text = prompt } = job.input
  await delay(15)
  if (job.input.do === 'slow-start') await job.released
  if (!job.begin()) return
  await delay(15)
  switch (job.input.do) {
    case 'fail':
      job.log('about to fail')
      return job.fail('model', text || 'The model failed')
    case 'policy':
      return job.fail('policy', text)
    case 'log':
      job.log(text)
      break
    case 'progress':
      for (const percent of [25, 50, 100]) {
        job.log(` ${percent}%|${'█'.repeat(percent / 25)}| ${percent / 25}/4 [00:01<00:00,  2.00it/s]`)
        await delay(20)
      }
      break
    case 'stream': {
      const words = text.split(' ').map((word, index) => (index === 0 ? word : ` ${word}`))
      for (const word of words) {
        job.say(word)
        await delay(40)
      }
      return job.succeed({ parts: words })
    }
    case 'file':
      return job.succeed({ file: Buffer.from(text) })
    case 'take-file':
      return job.succeed({ text: String(await sizeOf(String(job.input.file), job)) })
    case 'late-answer':
    case 'hang':
      await job.released
      return job.succeed({ text: 'DONE' })
  }
  await delay(15)
  job.succeed({ text: text.toUpperCase() })
}

/** As a model's own machine would: from the URL that it was sent. */
async function sizeOf(file: string, { stored }: CloudJob): Promise<number> {
  const own = stored(file)
  if (own) return own.length
  if (!/^(https?|data):/.test(file)) throw new Error(`A cloud cannot open ${file}`)
  const response = await fetch(file)
  return response.body ? (await buffer(Readable.fromWeb(response.body as never))).length : 0
}

/** What the clouds' fakes are told to do: nothing much by an input of a real model. */
export interface CloudInput {
  do?: string
  text?: string
  prompt?: string
  file?: string
}

/** How a cloud sees the work on one job. */
export interface CloudJob {
  input: CloudInput
  /** Hanging work goes on. */
  released: Promise<void>
  /** False when it was cancelled before. */
  begin(): boolean
  log(line: string): void
  say(part: string): void
  succeed(output: CloudOutput): void
  fail(why: 'model' | 'policy', words: string): void
  /** A file that was uploaded to the cloud. */
  stored(url: string): Buffer | undefined
}

/** What was made, before a cloud puts it into its shape. */
export type CloudOutput = { text: string } | { parts: string[] } | { file: Buffer }
