/**
 * Whether a JSON text has more values than any output: a few megabytes of `{},{},…`, and a few kilobytes of them zipped,
 * would fill the memory of the whole worker. An output may have 8 MB of JSON; a longer answer has files in it.
 */
export function isWordy(text: Uint8Array | string): boolean {
  return text.length > longText && separatorsIn(text) > mostValues
}

/** At least as many as it has values: what stands in strings is counted as well, and in base64 there is nothing to count. */
function separatorsIn(text: Uint8Array | string): number {
  let count = 0
  for (let at = 0; at < text.length; at++) {
    const code = typeof text === 'string' ? text.charCodeAt(at) : text[at]
    if (code === comma || code === bracket || code === brace) count += 1
  }
  return count
}

/** What is said of such an answer. */
export const wordyText = "The host's answer has more values than anybody can use."

const longText = 8 * 1024 * 1024
const mostValues = 4_000_000
const [comma, bracket, brace] = [0x2c, 0x5b, 0x7b]
