import type { ModelDescription } from '@millrace/models/description'
import type { Asked } from './cloud.ts'
import type { CloudInput } from './cloud-work.ts'
import { describeWithKeys } from './describe-with-keys.ts'

/** The jobs of a fake cloud, and what tests ask of them beside the cloud's API. */
export function createCloudJobs<Job extends JobHere>(): CloudJobs<Job> {
  const jobs = new Map<string, Job>()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  let away = false
  let created = 0
  let cancelled = 0
  const all = () => [...jobs.values()]
  return {
    find: (id) => jobs.get(id),
    all,
    add(id, job) {
      jobs.set(id, job)
      created += 1
    },
    noteCancel() {
      cancelled += 1
    },
    isAway: () => away,
    released,
    controls: {
      created: () => created,
      begun: () => all().filter(({ hasBegun }) => hasBegun).length,
      ended: () => all().filter(({ isOver }) => isOver).length,
      cancelled: async () => cancelled,
      release,
      goAway() {
        away = true
      },
      comeBack() {
        away = false
      },
      forget: () => jobs.clear(),
    },
  }
}

/** A model at a fake cloud. */
export function cloudModel(
  settings: { kind: 'replicate' | 'fal' } & Record<string, unknown>,
  { model = {}, provider = {} }: CloudOptions,
): ModelDescription {
  const name = `${settings.kind}-here`
  return describeWithKeys(
    `/models/${name}.yaml`,
    {
      namespace: name,
      type: 'multimodal',
      concurrency: 8,
      input_schema: {
        type: 'object',
        properties: {
          do: { type: 'string' },
          text: { type: 'string' },
          file: { type: 'string', format: 'uri' },
        },
      },
      provider: { ...settings, ...provider },
      ...model,
    },
    ['key', 'token'],
  )
}

interface CloudJobs<Job> {
  find(id: string): Job | undefined
  all(): Job[]
  add(id: string, job: Job): void
  noteCancel(): void
  isAway(): boolean
  /** Hanging work goes on. */
  released: Promise<void>
  controls: CloudControls
}

interface JobHere {
  hasBegun: boolean
  isOver: boolean
}

interface CloudControls {
  created(): number
  begun(): number
  ended(): number
  cancelled(): Promise<number>
  release(): void
  /** Its door answers 503 to everything until it comes back, and what is behind it works on. */
  goAway(): void
  comeBack(): void
  /** Knows no job any more. */
  forget(): void
}

export interface CloudOptions {
  /** In place of its own model: another one by its name. */
  serves?: string
  /** What it does with an input that does not say. */
  does?: CloudInput
  /** What it says that its own address is. */
  urlsAt?: string
  /** Of the description, beside what every one here says. */
  model?: Record<string, unknown>
  /** Of the settings in it. */
  provider?: Record<string, unknown>
}

/** A fake cloud, and what tests of every kind ask of a host. */
export interface CloudHost extends CloudControls {
  description: ModelDescription
  url: string
  asked: Asked[]
  close(): Promise<void>
}
