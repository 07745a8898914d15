import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Channel } from './channel.ts'
import { retryMs } from './transport.ts'

/**
 * LISTEN and NOTIFY over one connection of its own, which is opened anew whenever it breaks or falls silent. A NOTIFY
 * is a commit, and all of them take turns: this one waits for no disk, and one process has one on its way at a time.
 */
export function postgresChannel(url: string, report: (error: unknown) => void): Channel {
  const listeners = new Map<string, (text: string) => void>()
  const closing = new AbortController()
  let current: pg.Client | undefined
  const kept = keepConnected()

  async function keepConnected(): Promise<void> {
    while (!closing.signal.aborted) {
      await useOneConnection().catch(report)
      await rest(retryMs)
    }
  }

  async function useOneConnection(): Promise<void> {
    const client = new pg.Client({ connectionString: url, ...settings })
    // Whoever uses it learns of a break from the query that fails.
    client.on('error', () => {})
    client.on('notification', ({ channel, payload = '' }) => listeners.get(channel)?.(payload))
    try {
      await client.connect()
      for (const name of listeners.keys()) await client.query(`listen ${name}`)
      current = client
      while (!closing.signal.aborted) {
        await client.query('select 1')
        await rest(askEveryMs)
      }
    } finally {
      current = undefined
      // Not waited for: one that is silent would not answer this either.
      void client.end().catch(() => {})
    }
  }

  async function rest(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: closing.signal }).catch(() => {})
  }

  return {
    async publish(topic, text) {
      if (!current) throw new Error('Signals have no connection to Postgres')
      await current.query({ name: 'notify', text: notifyStatement, values: [`${prefix}${topic}`, text] })
    },
    subscribe(topic, listener) {
      const name = `${prefix}${topic}`
      listeners.set(name, listener)
      current?.query(`listen ${name}`).catch(report)
    },
    async close() {
      closing.abort()
      await kept
    },
  }
}

const notifyStatement = `select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`

const prefix = 'millrace_'
const askEveryMs = 3_000

const settings = {
  application_name: 'millrace-signals',
  connectionTimeoutMillis: 5_000,
  query_timeout: 5_000,
  keepAlive: true,
}
