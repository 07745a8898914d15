declare module '@20minutes/s3rver' {
  import type { Server } from 'node:http'

  interface Context {
    method: string
    query: Record<string, string | undefined>
    status: number
    type: string
    body: string
  }

  /** Only what the tests use; the package has no types of its own. */
  export default class S3rver {
    constructor(options: {
      address: string
      port: number
      silent: boolean
      directory: string
      vhostBuckets: boolean
      configureBuckets: { name: string }[]
    })
    httpServer: Server
    middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[]
    store: {
      getObject(
        bucket: string,
        key: string,
        options?: { start?: number; end?: number | string },
      ): Promise<unknown>
      deleteObject(bucket: string, key: string): Promise<void>
    }
    run(): Promise<unknown>
    close(): Promise<void>
  }
}

declare module '@20minutes/s3rver/lib/signature/v4.js' {
  const signatures: { getStringToSign(request: { uri: string }, signed: unknown): string }
  export default signatures
}
