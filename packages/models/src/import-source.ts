import { registerHooks } from 'node:module'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * Imports a module as if its file had this text, whatever is there by now: a state of a model stays what it was, also
 * where its process begins after the file has changed. What the module imports itself is read from disk.
 */
export async function importSource(file: string, source: string | undefined): Promise<{ default?: unknown }> {
  const url = pathToFileURL(file).href
  if (source === undefined) return import(url)
  let resolved = url
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      if (specifier !== url) return next(specifier, context)
      try {
        const found = next(specifier, context)
        // A link is resolved, and what the file imports lies beside its target.
        resolved = found.url
        return found
      } catch {
        // It is gone.
        return { url, shortCircuit: true }
      }
    },
    load(wanted, context, next) {
      if (wanted !== resolved) return next(wanted, context)
      const format = extname(file) === '.ts' ? 'module-typescript' : 'module'
      return { format, source, shortCircuit: true }
    },
  })
  try {
    return await import(url)
  } finally {
    hooks.deregister()
  }
}
