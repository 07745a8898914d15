import { readConfig } from '@millrace/worker/config'
import { expect, test } from 'vitest'

const valid = {
  DATABASE_URL: 'postgres://millrace@db/millrace',
  REDIS_URL: 'redis://cache:6400',
  MASTER_KEY: 'a master key for tests of the worker',
  PUBLIC_URL: 'https://api.example.com/',
  STORAGE_URL: 'file:///var/lib/millrace/files',
}

test('every wrong setting of the worker is named at once', () => {
  const read = () =>
    readConfig({ ...valid, MASTER_KEY: 'short', CONCURRENCY: 'many', OUTBOUND_ALLOW: '10.0.0.0/99' })
  expect(read).toThrow(/MASTER_KEY: .*CONCURRENCY: .*OUTBOUND_ALLOW: /s)
})

test('a worker of a public service calls neither loopback nor the ports of its own database and queue', () => {
  const { outbound } = readConfig(valid)
  expect(outbound).toEqual({ allow: [], loopback: false, closedPorts: [5432, 6400] })
})

test('only who says so may call what runs beside the worker, wherever clients find the service', () => {
  const local = { ...valid, PUBLIC_URL: 'http://localhost:3000' }
  expect(readConfig(local).outbound.loopback).toBe(false)
  expect(readConfig({ ...local, OUTBOUND_LOOPBACK: 'true' }).outbound.loopback).toBe(true)
})

test('two workers that were given no name have different ones', () => {
  expect(readConfig(valid).name).not.toBe(readConfig(valid).name)
})
