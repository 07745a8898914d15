import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'

/** The run's Redis, and a key prefix that no other test uses. */
export function freshRedis(): { url: string; prefix: string } {
  return { url: inject('redisUrl'), prefix: `test-${randomBytes(8).toString('hex')}` }
}
