/** Whether a call's arguments are a whole JSON object, to which nothing can be added. */
export function wholeJson(text: string): boolean {
  if (!text.trimEnd().endsWith('}')) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
