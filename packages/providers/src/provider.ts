import type { ModelProvider } from '@millrace/models/description'

/** Runs one model, wherever it runs. Turns the habits of that place into the outcomes below, and throws nothing. */
export interface Provider {
  kind: ModelProvider['kind']
  /**
   * How it takes files: `paths` has each `format: uri` field of an input brought to this machine; with `addresses` a
   * URL that its client gave stays one, and only what no host could fetch is an absolute path.
   */
  wants: 'paths' | 'addresses'
  run(request: RunRequest): Promise<Outcome>
  /** Whether a run that is given now begins at once: its process is set up. */
  warm(): boolean
  /** Ends every process. Runs still inside end `crashed`. */
  close(): Promise<void>
}

/** One attempt at one prediction. */
export interface RunRequest {
  id: string
  attempt: number
  /** Validated, with defaults; files as the provider `wants` them. */
  input: Record<string, unknown>
  /** Of this run alone, made where there is none yet. Files of the output are in it until the caller removes it. */
  workDir: string
  /** Shares its process with no other run: one that was in a process that died may be what kills it. */
  isolated?: boolean
  /** Its `reason` says why: see `leavesJob`. */
  signal: AbortSignal
  /** What an earlier attempt kept: the host may be at work for this prediction already. */
  job?: Job | undefined
  /** Stores what the host calls the job, so that the next attempt takes it up. Rejects when the run is lost. */
  keep?(job: Job): Promise<void>
  /** Where the host may report, when it can reach this installation. */
  callback?: Callback | undefined
  emit(event: RunEvent): void
}

/** What a host calls a job of its own: plain JSON of at most 4 KB. */
export type Job = Record<string, unknown>

/** An address of this installation for one attempt: what is posted there comes out here. */
export interface Callback {
  url: string
  /** Hears each body that arrives, until the answer is called. */
  listen(hear: (body: unknown) => void): () => void
}

/** What happens while a run is under way. */
export type RunEvent =
  /**
   * Setup is done and the run begins. Once per run, before all its other events but logs. `coldBoot`: it had to wait for
   * its model to start; left out where the host does not tell.
   */
  | { kind: 'ready'; coldBoot?: boolean }
  | { kind: 'output'; delta: OutputDelta }
  /** A part of an output that is whole and no text, such as a call of a tool. */
  | { kind: 'item'; item: unknown }
  | { kind: 'log'; text: string }
  | { kind: 'progress'; percent: number }
  /** How much was used so far, by units of prices: the last word on each counts. */
  | { kind: 'usage'; usage: Readonly<Record<string, unknown>> }

/** A part of an output that is still being made: text, or a finished file of the work folder. */
export type OutputDelta = string | { file: string; name: string; contentType?: string }

/** How a run ended. */
export type Outcome =
  /** Files in the output are `FileValue`s: `{$file: absolute path inside workDir, name, contentType?}`. */
  | { kind: 'succeeded'; output: unknown; predictSeconds: number }
  /** The model's fault; `stack` is for the operator's log and never for a client. */
  | { kind: 'failed'; code: FailureCode; detail: string; stack?: string }
  /** The host's fault; worth another try later. */
  | ({ kind: 'unavailable'; reason: string } & Unavailability)
  /** The model's process died in mid-run, by its own fault or a neighbour's: the run costs an attempt. */
  | { kind: 'crashed'; detail: string }
  /** The signal fired, and the model has really stopped, or was left at work (`leavesJob`). */
  | { kind: 'aborted' }

/** Whose fault a failure is, in the words of the API. */
export type FailureCode = 'MODEL_ERROR' | 'INVALID_OUTPUT' | 'CONTENT_POLICY_VIOLATION'

/** What is known of a host that did not serve. */
export interface Unavailability {
  /** What it asked for itself. */
  retryAfterSeconds?: number
  /** It has no room now: it is well, and another try costs nothing. */
  busy?: boolean
  /** It is away or broken, and the next run would find it so. */
  down?: boolean
  /** It may have done the work all the same. */
  uncertain?: boolean
  /** The job that was kept came to an end with this: another try begins a new one. Without it the job is taken up. */
  jobIsOver?: boolean
}

/** Whether a run that stops leaves its host at work: another worker takes the job up. */
export function leavesJob(signal: AbortSignal): boolean {
  return signal.reason === 'drain' || signal.reason === 'lost'
}
