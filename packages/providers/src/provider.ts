/** Runs one model, wherever it runs. Turns the habits of that place into the outcomes below, and throws nothing. */
export interface Provider {
  kind: 'module' | 'command'
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
  /** Validated, with defaults; each `format: uri` field is the absolute path of a local file. */
  input: Record<string, unknown>
  /** Of this run alone, made where there is none yet. Files of the output are in it until the caller removes it. */
  workDir: string
  /** Shares its process with no other run: one that was in a process that died may be what kills it. */
  isolated?: boolean
  signal: AbortSignal
  emit(event: RunEvent): void
}

/** What happens while a run is under way. */
export type RunEvent =
  /** Setup is done and the run begins. Once per run, before all its other events but logs. */
  | { kind: 'ready' }
  | { kind: 'output'; delta: OutputDelta }
  | { kind: 'log'; text: string }
  | { kind: 'progress'; percent: number }

/** A part of an output that is still being made: text, or a finished file of the work folder. */
export type OutputDelta = string | { file: string; name: string; contentType?: string }

/** How a run ended. */
export type Outcome =
  /** Files in the output are `FileValue`s: `{$file: absolute path inside workDir, name, contentType?}`. */
  | { kind: 'succeeded'; output: unknown; predictSeconds: number }
  /** The model's fault; `stack` is for the operator's log and never for a client. */
  | { kind: 'failed'; code: 'MODEL_ERROR' | 'INVALID_OUTPUT'; detail: string; stack?: string }
  /** The host's fault; worth another try later. */
  | { kind: 'unavailable'; reason: string; retryAfterSeconds?: number }
  /** The model's process died in mid-run, by its own fault or a neighbour's: the run costs an attempt. */
  | { kind: 'crashed'; detail: string }
  /** The signal fired, and the model has really stopped. */
  | { kind: 'aborted' }
