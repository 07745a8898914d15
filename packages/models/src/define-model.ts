import type { z } from 'zod'
import type { statedModel } from './stated-model.ts'

/**
 * Describes a model: what it takes, what it answers, how it runs. The default export of a file in the models folder.
 *
 * What `run` does decides the output:
 * - it returns a value: that value is the output, whatever was yielded before;
 * - it yields strings and returns nothing: their concatenation; each part reaches the client as it is made;
 * - it yields files (from `file(…)`) or other JSON and returns nothing: the array of what it yielded.
 *
 * A model that makes pictures, sound or documents answers an array of files, also for one.
 */
export function defineModel<Input extends z.ZodObject, State = undefined>(
  model: ModelDefinition<Input, State>,
): ModelDefinition<Input, State> {
  return model
}

/** A model whose schemas are zod. Fields that hold a file are `fileInput(…)`. */
export interface ModelDefinition<Input extends z.ZodObject, State = undefined> extends ModelTraits {
  input: Input
  output?: z.ZodType
  /** Runs once in a fresh process, before its first run; what it returns is `state` in every run. */
  setup?(): State | Promise<State>
  run(input: z.output<Input>, context: RunContext<State>): unknown
}

/** A model whose schemas are JSON Schema: a plain object that needs no import, for files outside this project. */
export interface PlainModel extends ModelTraits {
  input_schema: Record<string, unknown>
  output_schema?: Record<string, unknown>
  setup?(): unknown
  run(input: Record<string, unknown>, context: RunContext<unknown>): unknown
}

/** What is known of a model beside its schemas and its code. */
export type ModelTraits = Omit<z.input<typeof statedModel>, 'input_schema' | 'output_schema'>

/** What a run may use beside its input. */
export interface RunContext<State = undefined> {
  /** What `setup` returned. */
  state: State
  /** Fires when the run is cancelled or out of time. A model that ignores it is killed after a grace period. */
  signal: AbortSignal
  /** The run's own folder, made when this is first read and removed after the run. Files in the output must be in it; `file` sees to that. */
  workDir: string
  /** Adds a line to the run's log. */
  log(text: string): void
  /** How far the run is, from 0 to 100. */
  progress(percent: number): void
  /**
   * How much was used so far, by the units of prices, such as `{ page: 3 }`: what is charged where that is the unit. The
   * last word on each counts.
   */
  usage(used: Readonly<Record<string, number>>): void
  /** Makes a file for the output, from bytes or from the path of a file the model has written. */
  file(source: Uint8Array | string, about: FileAbout): Promise<FileValue>
}

/** How a file is to be called and served. */
export interface FileAbout {
  name: string
  contentType?: string
}

/** A file inside an output: clients get a URL in its place. */
export interface FileValue {
  $file: string
  name: string
  contentType?: string
}
