import { once } from 'node:events'
import type { Duplex, Readable, Writable } from 'node:stream'
import type pg from 'pg'

/** Writes what a `copy … to stdout` gives to `sink`, which stays open, and returns the number of rows. */
export async function copyOut(client: pg.Client, sql: string, sink: Writable): Promise<number> {
  return await copy(client, sql, {
    handleCopyData({ chunk }, { stream }) {
      // A copy: pg reads the next message into the same memory, and the sink may not have written this one yet.
      if (sink.write(Buffer.from(chunk)) || stream.isPaused()) return
      stream.pause()
      sink.once('drain', () => stream.resume())
    },
  })
}

/** Feeds `source` to a `copy … from stdin` and returns the number of rows. */
export async function copyIn(client: pg.Client, sql: string, source: Readable): Promise<number> {
  return await copy(client, sql, {
    handleCopyInResponse(connection) {
      feed(connection, source).catch((error: unknown) => connection.sendCopyFail(String(error)))
    },
  })
}

async function feed(connection: CopyConnection, source: Readable): Promise<void> {
  for await (const chunk of source) {
    connection.sendCopyFromChunk(chunk)
    if (connection.stream.writableNeedDrain) await once(connection.stream, 'drain')
  }
  connection.endCopyFrom()
}

/** What pg leaves to a query object of one's own: the part of the protocol between the statement and its end. */
function copy(client: pg.Client, sql: string, handlers: CopyHandlers): Promise<number> {
  return new Promise((resolve, reject) => {
    let rows = 0
    client.query({
      submit: (connection: unknown) => (connection as CopyConnection).query(sql),
      handleCommandComplete({ text }: { text: string }) {
        rows = Number(/^COPY (\d+)/.exec(text)?.[1] ?? 0)
      },
      handleReadyForQuery: () => resolve(rows),
      handleError: reject,
      ...handlers,
    } as pg.Submittable)
  })
}

interface CopyHandlers {
  handleCopyData?(message: { chunk: Buffer }, connection: CopyConnection): void
  handleCopyInResponse?(connection: CopyConnection): void
}

interface CopyConnection {
  stream: Duplex
  query(sql: string): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
  sendCopyFail(reason: string): void
}
