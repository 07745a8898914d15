import crypto from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
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
  mend(server, join(directory, 'files', '._S3rver_uploads'))
  const held = new Set<string>()
  holdBack(server, held)
  const { port } = (await server.run()) as AddressInfo
  const endpoint = `http://127.0.0.1:${port}`
  const root = join(directory, 'files')

  async function everything(): Promise<string[]> {
    const entries = await readdir(root, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile())
    return files.map(({ parentPath, name }) => relative(root, join(parentPath, name))).toSorted()
  }

  return {
    endpoint,
    port,
    environment: bucketKeys,
    storageUrl: (prefix = 'millrace') => `s3://files/${prefix}?endpoint=${encodeURIComponent(endpoint)}`,
    keys: async () => (await everything()).flatMap((name) => objectName.exec(name)?.[1] ?? []),
    everything,
    hold: (key) => void held.add(key),
    age: (key, to) => utimes(join(root, `${key}._S3rver_object`), to, to),
    async close() {
      server.httpServer.closeAllConnections()
      await server.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/**
 * What this server lacks and the real ones have: unfinished uploads can be listed and given up. And two mistakes of its
 * own: `bytes=0-0`, and the signature of what asks the bucket itself.
 */
function mend({ store, middleware }: S3rver, uploads: string): void {
  middleware.unshift(async (context, next) => {
    const { uploadId } = context.query
    if (context.method === 'DELETE' && uploadId !== undefined) {
      await rm(join(uploads, uploadId), { recursive: true })
      context.status = 204
    } else if (context.method === 'GET' && 'uploads' in context.query) {
      context.type = 'application/xml'
      context.body = `<ListMultipartUploadsResult>${await listUploads(uploads)}</ListMultipartUploadsResult>`
    } else await next()
  })
  const { getObject } = store
  store.getObject = (bucket, key, options) =>
    getObject.call(store, bucket, key, options?.end === 0 ? { ...options, end: '0' } : options)
}

/** As a bucket does that holds objects for a lawyer: of many that are to go it removes the others, and names these. */
function holdBack({ store, middleware }: S3rver, held: ReadonlySet<string>): void {
  const { deleteObject } = store
  store.deleteObject = async (bucket, key) => {
    if (!held.has(key)) await deleteObject.call(store, bucket, key)
  }
  middleware.unshift(async (context, next) => {
    await next()
    if (context.method !== 'POST' || !('delete' in context.query)) return
    const errors = [...held].map((key) => `<Error><Key>${key}</Key><Code>AccessDenied</Code></Error>`)
    context.body = context.body.replace('</DeleteResult>', `${errors.join('')}</DeleteResult>`)
  })
}

async function listUploads(folder: string): Promise<string> {
  const ids = await readdir(folder).catch(() => [])
  const listed = ids.map(async (id) => {
    const key = await readFile(join(folder, id, 'key'), 'utf8')
    const { mtime } = await stat(join(folder, id))
    return `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${mtime.toISOString()}</Initiated></Upload>`
  })
  return (await Promise.all(listed)).join('')
}

const { getStringToSign } = signatures
signatures.getStringToSign = (request, signed) =>
  getStringToSign({ ...request, uri: request.uri.replace(/^\/[^/]+$/, '$&/') }, signed)

/** It ciphers the tokens of its lists with DES, which today's OpenSSL has no more; no token of it is ever used here. */
const { createCipheriv } = crypto
const plain = { update: (text: string) => Buffer.from(text), final: () => Buffer.of() }
Object.assign(crypto, {
  createCipheriv: (...given: Parameters<typeof createCipheriv>) =>
    given[0] === 'des' ? plain : createCipheriv(...given),
})

/** How this server calls an object's file on its disk. */
const objectName = /^(.+)\._S3rver_object$/

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
  /** Every file on the server's disk, parts of unfinished uploads and its own notes included. */
  everything(): Promise<string[]>
  /** From now on the bucket does not give this object up. */
  hold(key: string): void
  /** Makes an object as old as if it had been written then. */
  age(key: string, to: Date): Promise<void>
  close(): Promise<void>
}
