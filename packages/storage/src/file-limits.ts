import { usualType } from '@millrace/media/file-types'

/** What a file of so many bytes and of that type, by what its bytes say, breaks; undefined when the model takes it. */
export function brokenFileLimit(
  { maxBytes, contentTypes }: FileLimits,
  { bytes, type }: { bytes: number; type: string },
): string | undefined {
  if (maxBytes !== undefined && bytes > maxBytes) {
    return `The file has ${bytes} bytes; this model takes at most ${maxBytes}`
  }
  if (contentTypes && !contentTypes.some((wanted) => matches(wanted, type))) {
    return `The file is ${type}; this model takes ${contentTypes.join(', ')}`
  }
  return undefined
}

/** Whether a model says anything of single files, so that they need be looked at. */
export function limitsFiles({ maxBytes, contentTypes }: FileLimits): boolean {
  return maxBytes !== undefined || contentTypes !== undefined
}

function matches(wanted: string, type: string): boolean {
  return wanted.endsWith('/*') ? type.startsWith(wanted.slice(0, -1)) : usualType(wanted) === usualType(type)
}

/** What a model says of each file of its inputs. A type may be `image/*`. */
export interface FileLimits {
  maxBytes?: number | undefined
  contentTypes?: string[] | undefined
}
