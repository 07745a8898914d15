/**
 * Inside stored input and output a file is a marker, `millrace-file:file_…`, and becomes a signed URL only when the
 * prediction is shown: URLs expire, markers do not. A marker counts only when the prediction's own `files` list it,
 * so text that happens to look like one stays text.
 */
export const fileMarker = (fileId: string): string => `millrace-file:${fileId}`

/** The file id (`file_…`) that a string stands for, if it is a marker. */
export function markedFile(text: string): string | undefined {
  return /^millrace-file:(file_[0-9a-z]{26})$/.exec(text)?.[1]
}
