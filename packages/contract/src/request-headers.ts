/** The headers that endpoints read beside those of the key, and what they do. */
export const requestHeaders = {
  'Idempotency-Key':
    'Makes a request safe to repeat: for 24 hours the same key with the same body answers with what the first one made. 1 to 255 printable ASCII characters',
  Prefer:
    '`wait` or `wait=SECONDS` holds the answer until the end, as `await` does; `respond-async` has `/v1/run` answer with a job at once',
  'If-None-Match': 'The `ETag` of an earlier answer: 304 while nothing has changed',
  'Last-Event-ID': 'The id of the last event that was read: the stream goes on after it',
  Range: 'A part of the bytes, such as `bytes=0-1023`',
} as const

export type RequestHeader = keyof typeof requestHeaders
