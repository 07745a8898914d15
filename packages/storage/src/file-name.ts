/**
 * A caller's file name made fit for a row, a URL and a header: the last part of any path, without control characters
 * or lone surrogates, at most 200 characters with its extension kept.
 */
export function safeName(name: string): string {
  const last = name.toWellFormed().split(/[/\\]/).at(-1) ?? ''
  const clean = last.replace(/[\p{Cc}\p{Cf}"<>|:*?]/gu, '_').trim()
  if (/^\.*$/.test(clean)) return 'file'
  if (clean.length <= maxLength) return clean
  const extension = /\.\w{1,10}$/.exec(clean)?.[0] ?? ''
  return clean.slice(0, maxLength - extension.length).toWellFormed() + extension
}

const maxLength = 200
