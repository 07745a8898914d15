import { relative } from 'node:path'

/** A path as somebody in this folder writes it; whole where it leads elsewhere. */
export function shortPath(path: string): string {
  const short = relative(process.cwd(), path)
  return short === '' || short.startsWith('..') ? path : short
}
