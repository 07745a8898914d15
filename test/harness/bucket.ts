import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import S3rver from '@20minutes/s3rver'
import signatures from '@20minutes/s3rver/lib/signature/v4.js'

/** An S3 server on loopback with an empty bucket and a folder of its own. The AWS client gets keys that it knows. */
export async function startBucket(): Promise<Bucket> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-bucket-'))
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    vhostBuckets: false,
    configureBuckets: [{ name: 'files' }],
  })
  mend(server)
  const { port } = (await server.run()) as AddressInfo
  const endpoint = `http://127.0.0.1:${port}`
  return {
    endpoint,
    port,
    environment: bucketKeys,
    storageUrl: (prefix = 'millrace') => `s3://files/${prefix}?endpoint=${encodeURIComponent(endpoint)}`,
    async keys() {
      const entries = await readdir(directory, { recursive: true, withFileTypes: true })
      return entries
        .filter((entry) => entry.isFile() && entry.name.endsWith('._S3rver_object'))
        .map((entry) =>
          join(entry.parentPath, entry.name)
            .slice(join(directory, 'files/').length)
            .replace('._S3rver_object', ''),
        )
        .toSorted()
    },
    age: (key, to) => utimes(join(directory, 'files', `${key}._S3rver_object`), to, to),
    async close() {
      server.httpServer.closeAllConnections()
      await server.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Two mistakes of this server that no other makes: `bytes=0-0`, and the signature of what asks the bucket itself. */
function mend({ store }: S3rver): void {
  const { getObject } = store
  store.getObject = (bucket, key, options) =>
    getObject.call(store, bucket, key, options?.end === 0 ? { ...options, end: '0' } : options)
}

const { getStringToSign } = signatures
signatures.getStringToSign = (request, signed) =>
  getStringToSign({ ...request, uri: request.uri.replace(/^\/[^/]+$/, '$&/') }, signed)

/** The only keys that this server knows. */
export const bucketKeys = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' } as const

export interface Bucket {
  endpoint: string
  port: number
  /** For processes that use it. */
  environment: typeof bucketKeys
  storageUrl(prefix?: string): string
  /** Every object there is, read from the server's own disk: what a deletion left, no client can hide. */
  keys(): Promise<string[]>
  /** Makes an object as old as if it had been written then. */
  age(key: string, to: Date): Promise<void>
  close(): Promise<void>
}
