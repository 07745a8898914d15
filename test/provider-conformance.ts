import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isFileValue } from '@millrace/providers/output-parts'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type Case,
  type ConformanceInput,
  deltasOf,
  type HostUnderTest,
  kindsOf,
  openConformer,
} from './conformance-run.ts'
import { startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'
import { logOf } from './run-model.ts'

/** What every kind of model host must do, whatever its wire looks like. Each test opens a host of its own. */
export function conforms(name: string, open: () => Promise<HostUnderTest>): void {
  describe(`a model of the kind ${name}`, () => {
    async function given() {
      const host = await open()
      onTestFinished(() => host.close())
      return openConformer(host)
    }

    for (const [key, { title, input, expected, sign }] of Object.entries(cases)) {
      const what = key as keyof typeof cases
      test(`${title}, or shows nothing of it where its host cannot`, async () => {
        const { host, run } = await given()
        const seen = await run({ ...input, do: what })
        if (host.cannot.includes(what)) expect(sign(seen), `it says that it cannot ${what}`).toBe(false)
        else expected(seen, host)
      })
    }

    test('is ready when the work begins and not before', async () => {
      const { host, start } = await given()
      const run = await start({ do: 'slow-start', text: 'late' })
      await until(() => host.created() === 1, { what: 'the host to have the work' })
      if (host.cannot.includes('slow-start')) {
        // Nothing is queued there: it begins at once.
        await until(() => kindsOf(run.events).includes('ready'), { what: 'the run to begin' })
        host.release()
        await run.outcome
        return
      }
      host.release()
      expect(await run.outcome).toMatchObject({ kind: 'succeeded', output: 'LATE' })
      expect(kindsOf(run.events).filter((kind) => kind === 'ready')).toHaveLength(1)
      if (host.begun) expect(run.begunWhenReady()).toBe(1)
    })

    test('answers with a file in the work folder', async () => {
      const { host, run, workDir } = await given()
      const { outcome } = await run({ do: 'file', text: 'what is in the file' })
      const [file] = outcome.kind === 'succeeded' ? filesIn(outcome.output) : []
      if (host.cannot.includes('file')) {
        expect(file).toBeUndefined()
        return
      }
      expect(outcome).toMatchObject({ kind: 'succeeded' })
      expect(file?.$file.startsWith(workDir)).toBe(true)
      const bytes = await readFile(file?.$file ?? '')
      expect(bytes).toEqual(host.fileBytes?.() ?? Buffer.from('what is in the file'))
    })

    test('hands a file of the input over, from this machine and by its address', async () => {
      const { host, run, provider, workDir } = await given()
      const path = join(workDir, 'given.txt')
      await writeFile(path, 'x'.repeat(1234))
      const receiver = await startReceiver({
        body: 'y'.repeat(321),
        headers: { 'content-type': 'text/plain' },
      })
      onTestFinished(() => receiver.close())
      const ways = [{ file: path, bytes: 1234 }]
      if (provider.wants === 'addresses') ways.push({ file: `${receiver.url}given.txt`, bytes: 321 })
      for (const { file, bytes } of ways) {
        const { outcome } = await run({ do: 'take-file', file })
        const told = outcome.kind === 'succeeded' ? Number(outcome.output) : outcome
        if (host.cannot.includes('take-file')) expect(told).not.toBe(bytes)
        else expect(told).toBe(bytes)
      }
    })

    test.each(['cancel', 'run-timeout'])('stops the work at its host on %s', async (reason) => {
      const { host, start } = await given()
      const run = await start({ do: 'hang' })
      await until(() => host.created() === 1 && kindsOf(run.events).includes('ready'), {
        what: 'the work to begin',
      })
      run.abort(reason)
      expect(await run.outcome).toEqual({ kind: 'aborted' })
      await until(async () => (await host.cancelled()) === 1, { what: 'the host to hear of it' })
    })

    test('asks nothing of its host for a run that is over before it begins', async () => {
      const { host, start } = await given()
      const run = await start({ do: 'succeed', text: 'never' }, { aborted: 'cancel' })
      expect(await run.outcome).toEqual({ kind: 'aborted' })
      expect(host.created()).toBe(0)
    })

    test.each(['while nobody looks', 'while the next worker waits'])(
      'leaves a job at work when its worker goes, and the next takes it up: it ends %s',
      async (when) => {
        const { host, start } = await given()
        const first = await start({ do: 'hang' })
        const keeps = host.keepsJobs !== false
        await until(() => host.created() === 1 && (!keeps || first.kept()), { what: 'the job to be noted' })
        first.abort('drain')
        expect(await first.outcome).toEqual({ kind: 'aborted' })
        if (!keeps) {
          expect(first.kept()).toBeUndefined()
          await until(async () => (await host.cancelled()) === 1, { what: 'the host to hear of it' })
          return
        }
        if (when === 'while nobody looks') host.release()
        const second = await start({ do: 'hang' }, { job: first.kept(), attempt: 2 })
        await until(() => kindsOf(second.events).includes('ready'), { what: 'the job to be taken up' })
        if (when !== 'while nobody looks') host.release()
        expect(await second.outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
        expect(host.created()).toBe(1)
        expect(await host.cancelled()).toBe(0)
      },
    )
  })
}

/** Cases that are one run: what it comes to, and what would show that a host does it although it says it cannot. */
const cases = {
  succeed: {
    title: 'succeeds with an output',
    input: { text: 'hello there' },
    expected({ outcome, events }) {
      expect(outcome).toMatchObject({ kind: 'succeeded', output: 'HELLO THERE' })
      expect(kindsOf(events).filter((kind) => kind === 'ready')).toHaveLength(1)
    },
    sign: ({ outcome }) => outcome.kind === 'succeeded',
  },
  fail: {
    title: "fails with the model's words",
    input: { text: 'the paint ran out' },
    expected: ({ outcome }) => expect(outcome).toMatchObject(failed(/the paint ran out/)),
    sign: ({ outcome }) => outcome.kind === 'failed',
  },
  'refuse-input': {
    title: 'names the field that the model refuses',
    input: { text: 'too odd' },
    expected: ({ outcome }) => expect(outcome).toMatchObject(failed(/\btext\b/)),
    sign: ({ outcome }) => outcome.kind === 'failed' && /\btext\b/.test(outcome.detail),
  },
  policy: {
    title: 'tells that the content is against the rules of its host',
    input: { text: 'something unfit' },
    expected: ({ outcome }) =>
      expect(outcome).toMatchObject({ kind: 'failed', code: 'CONTENT_POLICY_VIOLATION' }),
    sign: ({ outcome }) => outcome.kind === 'failed' && outcome.code === 'CONTENT_POLICY_VIOLATION',
  },
  busy: {
    title: 'tells that its host has no room now',
    input: {},
    expected({ outcome }, host) {
      expect(outcome).toMatchObject({ kind: 'unavailable', busy: true })
      if (host.retryAfterSeconds !== undefined)
        expect(outcome).toMatchObject({ retryAfterSeconds: host.retryAfterSeconds })
    },
    sign: ({ outcome }) => outcome.kind === 'unavailable' && outcome.busy === true,
  },
  down: {
    title: 'tells that its host is away',
    input: {},
    expected: ({ outcome }) => expect(outcome).toMatchObject({ kind: 'unavailable', down: true }),
    sign: ({ outcome }) => outcome.kind === 'unavailable' && outcome.down === true,
  },
  stream: {
    title: 'shows the output as it is made',
    input: { text: 'one two three' },
    expected({ outcome, events }) {
      const deltas = deltasOf(events)
      expect(deltas.length).toBeGreaterThan(1)
      expect(deltas.join('').replaceAll(/\s/g, '')).toBe('onetwothree')
      expect(outcome).toMatchObject({ kind: 'succeeded', output: deltas.join('') })
      const kinds = kindsOf(events)
      expect(kinds.indexOf('ready')).toBeLessThan(kinds.indexOf('output'))
    },
    sign: ({ events }) => deltasOf(events).length > 1,
  },
  progress: {
    title: 'shows how far it is',
    input: { text: 'half' },
    expected({ outcome, events }) {
      expect(outcome).toMatchObject({ kind: 'succeeded' })
      const told = events.flatMap((event) => (event.kind === 'progress' ? [event.percent] : []))
      expect(told.length).toBeGreaterThan(0)
      for (const percent of told) expect(percent >= 0 && percent <= 100).toBe(true)
    },
    sign: ({ events }) => kindsOf(events).includes('progress'),
  },
  log: {
    title: 'shows what the model says beside its output',
    input: { text: 'a word of warning' },
    expected({ outcome, events }) {
      expect(outcome).toMatchObject({ kind: 'succeeded' })
      expect(logOf(events).split('a word of warning')).toHaveLength(2)
    },
    sign: ({ events }) => logOf(events).includes('a word of warning'),
  },
  garbage: {
    title: 'fails when the answer is garbage',
    input: {},
    expected: ({ outcome }) => expect(outcome).toMatchObject({ kind: 'failed' }),
    sign: ({ outcome }) => outcome.kind === 'succeeded',
  },
  cut: {
    title: 'may be tried again when its host is cut off in mid-run',
    input: {},
    expected({ outcome, provider, kept }) {
      if (provider.kind === 'module' || provider.kind === 'command') {
        expect(outcome).toMatchObject({ kind: 'crashed' })
        return
      }
      expect(outcome).toMatchObject({ kind: 'unavailable' })
      // What was begun there is either known by name, or may have been done.
      expect(kept ?? ('uncertain' in outcome && outcome.uncertain)).toBeTruthy()
    },
    sign: ({ outcome }) => outcome.kind === 'unavailable' || outcome.kind === 'crashed',
  },
} satisfies Partial<Record<ConformanceInput['do'], Case>>

function failed(detail: RegExp) {
  return { kind: 'failed', code: 'MODEL_ERROR', detail: expect.stringMatching(detail) }
}

function filesIn(output: unknown): { $file: string }[] {
  if (isFileValue(output)) return [output]
  return typeof output === 'object' && output !== null ? Object.values(output).flatMap(filesIn) : []
}

export type { ConformanceInput, HostUnderTest }
