import { Failed } from './faults.ts'
import type { Kind } from './open-remote.ts'

/** To come. */
export const fal: Kind<'fal'> = {
  wants: 'addresses',
  async perform() {
    throw new Failed('This kind of host cannot be driven yet.')
  },
}
