/** The environment of somebody who types a command: nothing of the test run's own but what programs need. */
export function commandEnvironment(own: Record<string, string> = {}): NodeJS.ProcessEnv {
  const { PATH, HOME, NODE_COMPILE_CACHE } = process.env
  return { PATH, HOME, NODE_COMPILE_CACHE, ...own }
}
