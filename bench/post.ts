import { Pool } from 'undici'
import { type CreateRequest, callAtOnce, callers } from './contender.ts'

/** Sends a request so many times over as many connections as there are callers. Throws at the first that is refused. */
export async function postMany({ url, headers, body }: CreateRequest, count: number): Promise<void> {
  const { origin, pathname } = new URL(url)
  const pool = new Pool(origin, { connections: callers })
  try {
    await callAtOnce(count, async () => {
      const answer = await pool.request({ path: pathname, method: 'POST', headers, body })
      if (answer.statusCode !== 201) throw new Error(`${answer.statusCode}: ${await answer.body.text()}`)
      await answer.body.dump()
    })
  } finally {
    await pool.close()
  }
}
