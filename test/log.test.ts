import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/** The lines that a process of ours writes when it logs each of `lines`. */
async function logged(...lines: object[]): Promise<Record<string, unknown>[]> {
  const log = fileURLToPath(new URL('../packages/process/src/log.ts', import.meta.url))
  const program = `
    import { createLog } from ${JSON.stringify(log)}
    const log = createLog({ name: 'test' })
    for (const line of JSON.parse(process.argv[1])) log.info(line, 'said')
    log.error({ err: Object.assign(new Error('postgres://me:opensesame@db/x refused'), { password: 'opensesame' }) }, 'said')`
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', program]
  const child = spawn(process.execPath, [...flags, JSON.stringify(lines)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const read: Record<string, unknown>[] = []
  for await (const line of createInterface(child.stdout)) read.push(JSON.parse(line))
  return read
}

test('what stands under the name of a secret is in no log, at the top of a line or two objects deep', async () => {
  const [top, inside, deep, listed] = await logged(
    { password: 'opensesame', path: '/v1' },
    { headers: { authorization: 'Bearer x', 'set-cookie': ['a=1'], accept: 'any' } },
    { config: { database: { databaseUrl: 'postgres://', pool: 3 } } },
    { keys: [{ api_key: 'sk-mr-x', name: 'mine' }] },
  )
  expect(top).toMatchObject({ password: '[redacted]', path: '/v1', level: 'info', msg: 'said' })
  expect(inside?.headers).toEqual({ authorization: '[redacted]', 'set-cookie': '[redacted]', accept: 'any' })
  expect(deep?.config).toEqual({ database: { databaseUrl: '[redacted]', pool: 3 } })
  expect(listed?.keys).toEqual([{ api_key: '[redacted]', name: 'mine' }])
})

test('an error is logged with its reason and without what its driver hung on it', async () => {
  const [line] = await logged()
  expect(line?.err).toMatchObject({ type: 'Error', message: 'postgres://me:[redacted]@db/x refused' })
  expect(JSON.stringify(line)).not.toContain('opensesame')
})
