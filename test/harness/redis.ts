import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { inject, onTestFinished } from 'vitest'
import { until } from './wait.ts'

/** The run's Redis, and a key prefix that no other test uses. */
export function freshRedis(): { url: string; prefix: string } {
  return { url: inject('redisUrl'), prefix: `test-${randomBytes(8).toString('hex')}` }
}

/**
 * Counts the commands that clients send about the keys of a prefix from now on; what a script does inside Redis was not
 * sent. By a socket of its own: the client breaks off where the first command is told along with the answer to MONITOR.
 */
export async function hearCommands(url: string, prefix: string): Promise<() => Promise<number>> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const redis = new Redis(url)
  onTestFinished(() => {
    socket.destroy()
    redis.disconnect()
  })
  const heard: string[] = []
  createInterface({ input: socket }).on('line', (line) => heard.push(line))
  socket.write('MONITOR\r\n')
  await until(() => heard.length > 0, { what: 'Redis to tell what it is sent' })
  const end = `"echo" "${prefix}"`
  return async () => {
    await redis.echo(prefix)
    await until(() => heard.some((line) => line.includes(end)), { what: 'all commands to be heard' })
    return heard.filter(
      (line) => line.includes(prefix) && !line.includes(end) && !/^\S+ \[\d+ lua\]/.test(line),
    ).length
  }
}
