import { createHash } from 'node:crypto'
import type { ModelDescription } from './description.ts'

/**
 * The id of one state of a model: what it says of itself and the bytes of the files it is made of. Where it lies is no
 * part of it, so that every machine that has the same files gives the same id.
 */
export function versionIdOf(
  { file: _, provider, ...said }: Omit<ModelDescription, 'versionId'>,
  files: readonly Buffer[],
): string {
  const { versionId: __, ...rest } = said as Partial<ModelDescription>
  const hash = createHash('sha256').update(JSON.stringify([rest, portable(provider)]))
  for (const bytes of files) hash.update(`\0${bytes.length}\0`).update(bytes)
  return hash.digest('hex')
}

function portable(provider: ModelDescription['provider']): unknown {
  if (provider.kind === 'module') return provider.kind
  if (provider.kind !== 'command') return provider
  const { cwd: _, command, ...rest } = provider
  // A program that is named by its path is among the files, or is the machine's own.
  return [command.map((word) => word.split('/').at(-1)), rest]
}
