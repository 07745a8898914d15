/** The environment this process was given. A model's process passes its own, already minimal one on to commands. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  return process.env
}
