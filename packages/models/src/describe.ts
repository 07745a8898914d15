/**
 * A short-lived process that imports model files and answers with their descriptions, one message per file: what a
 * file does when it is imported happens here and not in the api or a worker. Started by the catalogue.
 */
import { pathToFileURL } from 'node:url'
import { describeExport } from './description.ts'

process.on('message', async (file) => {
  if (typeof file === 'string') {
    process.send?.(await answer(file))
  }
})

async function answer(file: string) {
  try {
    const module: { default?: unknown } = await import(pathToFileURL(file).href)
    // Through JSON and back: a schema must be nothing but data.
    return { file, description: JSON.parse(JSON.stringify(describeExport(file, module.default))) }
  } catch (error) {
    return { file, reason: error instanceof Error ? error.message : String(error) }
  }
}
