import { deliveriesOf, dispatching } from './given-webhooks.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { type Receiver, startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'

/** A database, its dispatchers and receivers: all that a test starts here ends with it. */
export async function openSending(): Promise<Sending> {
  const database = await freshDatabase()
  const closing: (() => Promise<unknown>)[] = []
  return {
    db: database.db,

    async receiving(answer) {
      const receiver = await startReceiver(answer)
      closing.push(() => receiver.close())
      return receiver
    },

    sending(options) {
      const dispatch = dispatching(database.db, options)
      closing.push(() => dispatch.stop(100))
      return dispatch
    },

    state: (id, wanted) =>
      until(
        async () => {
          const all = await deliveriesOf(database.db, id)
          return wanted(all[0], all) && all
        },
        { what: 'the deliveries to be as wanted' },
      ),

    async close() {
      for (const close of closing.reverse()) await close()
      await database.drop()
    },
  }
}

export interface Sending {
  db: FreshDatabase['db']
  receiving(answer?: Parameters<typeof startReceiver>[0]): Promise<Receiver>
  sending(options?: Parameters<typeof dispatching>[1]): ReturnType<typeof dispatching>
  /** Waits until the deliveries of a prediction are as wanted, and answers with them. */
  state(
    id: string,
    wanted: (first: Deliveries[number] | undefined, all: Deliveries) => boolean,
  ): Promise<Deliveries>
  close(): Promise<void>
}

export type Deliveries = Awaited<ReturnType<typeof deliveriesOf>>
