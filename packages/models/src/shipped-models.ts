import { fileURLToPath } from 'node:url'

/** The folder of the models that ship. A path and no import: model files are never loaded into a process of the service. */
export function shippedModelsDir(): string {
  return fileURLToPath(new URL('../../../models', import.meta.url))
}
