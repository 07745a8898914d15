import { relative } from 'node:path'

/** A path as somebody in the folder `here` writes it; whole where it leads elsewhere. */
export function seenFrom(here: string, path: string): string {
  const short = relative(here, path)
  return short === '' || short.startsWith('..') ? path : short
}
