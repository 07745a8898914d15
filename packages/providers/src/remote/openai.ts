import { Failed } from './faults.ts'
import type { Kind } from './open-remote.ts'

/** To come. */
export const openai: Kind<'openai'> = {
  wants: 'addresses',
  async perform() {
    throw new Failed('This kind of host cannot be driven yet.')
  },
}
