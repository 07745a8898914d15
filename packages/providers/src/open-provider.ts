import type { ModelDescription } from '@millrace/models/description'
import { openProcess, type ProcessModel, type ProcessOptions } from './open-process.ts'
import type { Provider } from './provider.ts'
import { openRemote, type RemoteModel, type RemoteOptions } from './remote/open-remote.ts'

/** Opens a model for running, wherever it runs. Nothing is started or called before the first run. */
export function openProvider(description: ModelDescription, options: ProviderOptions = {}): Provider {
  return isRemote(description)
    ? openRemote(description, options)
    : openProcess(description as ProcessModel, options)
}

function isRemote(description: ModelDescription): description is RemoteModel {
  return !['module', 'command'].includes(description.provider.kind)
}

/** What the kinds need beside the model's description. */
export type ProviderOptions = ProcessOptions & RemoteOptions
