import { importSource } from '@millrace/models/import-source'
import type { ModelRun } from './hosted-run.ts'
import type { ProcessProvider } from './open-process.ts'
import { commandRun, type TellGroup } from './run-command.ts'

/** Loads what a description points at: the default export of a file, or a command, which is a model like any other. */
export async function loadModel(provider: ProcessProvider, tellGroup: TellGroup): Promise<LoadedModel> {
  if (provider.kind === 'command') {
    return { setup: () => undefined, run: commandRun(provider, tellGroup) }
  }
  const { default: exported } = await importSource(provider.file, provider.source)
  // It was described from this very source.
  const model = exported as Exported
  return {
    setup: () => model.setup?.(),
    // Once more through zod, where there is one: refinements and transforms have no JSON Schema.
    run: (input, context) => model.run(model.input ? model.input.parse(input) : input, context),
  }
}

/** A model that is ready to be set up. */
export interface LoadedModel {
  setup(): unknown
  run: ModelRun
}

interface Exported {
  input?: { parse(value: unknown): Record<string, unknown> }
  setup?(): unknown
  run: ModelRun
}
