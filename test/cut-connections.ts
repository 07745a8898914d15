import type { Database } from '@millrace/database/connect'
import type pg from 'pg'

/**
 * The same database over connections of which the first is cut right after it was given its `after`th statement: whether
 * that one was done, and the commit with it, nobody here learns. Later ones are whole.
 */
export function cutOnce({ pool, kysely, close }: Database, after: number): Database {
  let left = after
  const cutting = (client: pg.PoolClient): pg.PoolClient =>
    new Proxy(client, {
      get(target, name) {
        const value = Reflect.get(target, name)
        if (name !== 'query') return typeof value === 'function' ? value.bind(target) : value
        return (...given: Parameters<typeof target.query>) => {
          const answer = target.query(...given) as unknown as Promise<unknown>
          if (--left === 0) setImmediate(() => target.connection.stream.destroy())
          return answer
        }
      },
    })
  const connect = async () => (left > 0 ? cutting(await pool.connect()) : pool.connect())
  const query = async (...given: Parameters<typeof pool.query>) => {
    if (left <= 0) return pool.query(...given)
    const client = cutting(await pool.connect())
    try {
      const answer = await client.query(...given)
      client.release()
      return answer
    } catch (error) {
      client.release(true)
      throw error
    }
  }
  const cut = new Proxy(pool, {
    get(target, name) {
      if (name === 'connect') return connect
      if (name === 'query') return query
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { pool: cut, kysely, close }
}
