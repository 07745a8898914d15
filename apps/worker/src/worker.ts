import type { Batcher } from '@millrace/database/batch'
import type { HostWatch } from '@millrace/hosts/host-watch'
import type { Beginning } from '@millrace/lifecycle/begin'
import type { NewJob } from '@millrace/lifecycle/keep-jobs'
import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import type { MovedRow } from '@millrace/lifecycle/outbox'
import type { Place } from '@millrace/lifecycle/places'
import type { Ending } from '@millrace/lifecycle/settle'
import type { ModelDescription } from '@millrace/models/description'
import type { Guard } from '@millrace/outbound/guard'
import type { Log } from '@millrace/process/log'
import type { Provider } from '@millrace/providers/provider'
import type { Queue } from '@millrace/queue/open-queue'
import type { FileUrls } from '@millrace/storage/file-urls'
import type { FileStore } from '@millrace/storage/store'
import type { Config } from './config.ts'
import type { EventBuffer } from './event-buffer.ts'
import type { Hearing } from './host-callbacks.ts'
import type { InferenceRuns } from './inference-runs.ts'
import type { Lease } from './lease.ts'
import type { RunTimes } from './run-times.ts'

/** What the steps of a run share. */
export interface Worker {
  config: Config
  log: Log
  lifecycle: Lifecycle
  queue: Queue
  store: FileStore
  /** Of this process alone; each run has a folder in it. */
  workFolder: string
  guard: Guard
  fileUrls: FileUrls
  sealingKeys: readonly Buffer[]
  /** By namespace, as the files are now. */
  models: ServedModels
  hosts: HostWatch
  /** Runs what is asked of models that chat. */
  inference: InferenceRuns
  /** Undefined where no host could reach this installation. */
  callbacks: Hearing | undefined
  lease: Lease
  events: EventBuffer
  runTimes: RunTimes
  /** Moves of concurrent runs share statements; each waits out an outage of the database. */
  beginning: Batcher<Beginning, MovedRow | undefined>
  settling: Batcher<Ending, MovedRow | undefined>
  keeping: Batcher<NewJob, boolean>
}

/** The models of this worker; they change with their files. */
export interface ServedModels extends ReadonlyMap<string, ServedModel> {
  /** Any model of the catalogue, also one that is not served here: a run may have to be given to it. */
  describe(slug: string): ModelDescription | undefined
  /** Hears which models there is something new to claim for. */
  listen(hear: (names: string[]) => void): void
  /** Serves no other models from now on, and ends every process, of former states as well. */
  close(): Promise<void>
}

/** One state of a model. */
export interface ServedModel {
  description: ModelDescription
  /** Its input may hold files, which a run brings before it begins. */
  takesFiles: boolean
  provider: Provider
  /** Until what it answers is called, the provider stays open, though the model be replaced or removed. */
  enter(): () => void
  /** The other names that mean it, as the whole catalogue has it: runs that wait under them are its own. */
  aliases: readonly string[]
  /** Where it runs, if not in a process of this worker. */
  host: string | undefined
  /** What limits how many of its runs are under way in all workers together. */
  places: Place[]
}
