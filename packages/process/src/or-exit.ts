/**
 * Reads something that a process cannot start without, its settings say. What is wrong goes to stderr as the plain
 * text it is, without a stack, and the process ends with exit code 1.
 */
export function orExit<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    sayAndExit(error)
  }
}

/** Ends a process that cannot start, with the reason in words. */
export function sayAndExit(error: unknown): never {
  process.stderr.write(`${(error instanceof Error && error.message) || String(error)}\n`)
  process.exit(1)
}
