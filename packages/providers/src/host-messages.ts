import type { RunEvent } from './provider.ts'

/** What a parent tells a model's process, one JSON line each. */
export type ToHost =
  /** First of all, and once: what the model's file said when it was described. */
  | { source: string | undefined }
  | { run: string; attempt: number; input: Record<string, unknown>; workDir: string }
  | { abort: string }

/** What a model's process tells its parent, one JSON line each. `run` is the key the parent gave the run. */
export type FromHost =
  | { kind: 'set-up' }
  | { kind: 'setup-failed'; detail: string; stack?: string }
  /** No further run may begin here: an error nobody caught has made the process unsafe. */
  | { kind: 'leaving' }
  /** A command of this process leads a process group of its own. Should this process be killed, the parent ends it. */
  | { kind: 'group'; pid: number; lives: boolean }
  | { kind: 'event'; run: string; event: RunEvent }
  | { kind: 'done'; run: string; output: unknown; seconds: number }
  | { kind: 'failed'; run: string; code: 'MODEL_ERROR' | 'INVALID_OUTPUT'; detail: string; stack?: string }

/** Inline output may have this many bytes of JSON; what is larger must be a file. */
export const MAX_OUTPUT_BYTES = 8 * 1024 * 1024

/** No honest line is longer: JSON may spell a byte of text with six (`\u0000`). */
export const MAX_LINE_LENGTH = 6 * MAX_OUTPUT_BYTES + 64 * 1024

/** The file descriptor of a model's process beside stdin, stdout and stderr. */
export const CHANNEL_FD = 3
