import { readFileSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { loadCatalogue } from '@millrace/models/catalogue'
import type { HostUnderTest } from '../conformance-run.ts'
import { temporaryFolder } from '../run-model.ts'

/** The fixture models that are processes of this machine, each in a folder of its own with a journal. */
export async function openHost(kind: 'module' | 'command'): Promise<HostUnderTest> {
  const folder = await temporaryFolder()
  const files = kind === 'module' ? ['model.mjs'] : ['command.json', 'command.mjs']
  for (const file of files) {
    await cp(join(import.meta.dirname, '../fixtures/conformance', file), join(folder.path, file))
  }
  const { models, problems } = await loadCatalogue({ dirs: [folder.path], testModels: false })
  const description = models.get('conformance')
  if (!description) throw new Error(JSON.stringify(problems))

  function count(word: string): number {
    return journal()
      .split('\n')
      .filter((line) => line === word).length
  }

  function journal(): string {
    try {
      return readFileSync(join(folder.path, 'journal'), 'utf8')
    } catch {
      return ''
    }
  }

  return {
    description,
    // It is set up before it sees an input, and there is no host between that could be full, away or of a view.
    cannot: ['slow-start', 'busy', 'down', 'policy'],
    keepsJobs: false,
    created: () => count('created'),
    cancelled: async () => count('cancelled'),
    release: () => writeFileSync(join(folder.path, 'released'), ''),
    close: async () => folder[Symbol.asyncDispose](),
  }
}
