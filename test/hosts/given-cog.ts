import { onTestFinished } from 'vitest'
import { openCallbacks } from './callbacks.ts'
import { type CogHostOptions, openHost } from './cog.ts'
import { givenProvider } from './given-host-run.ts'

/** A container, and the provider that drives it. `timeoutMs` is how long a container may be silent. */
export async function givenCog(options: CogHostOptions = {}, timeoutMs = 60_000) {
  const host = await openHost(options)
  onTestFinished(() => host.close())
  const provider = await givenProvider(host.description, { timeoutMs })
  onTestFinished(() => provider[Symbol.asyncDispose]())
  return { host, ...provider, workDir: provider.workDir }
}

/** An address that the container can report to. */
export async function givenCallbacks() {
  const callbacks = await openCallbacks()
  onTestFinished(() => callbacks[Symbol.asyncDispose]())
  return callbacks
}
