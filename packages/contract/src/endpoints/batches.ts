import { z } from 'zod'
import { batch, batchList, createBatch, listBatchesQuery } from '../batch.ts'
import type { EndpointDefinition } from '../endpoint.ts'

const batchId = z.object({ id: z.string().describe('batch_…') })

/** Many requests in one. */
export const batchEndpoints = {
  createBatch: {
    method: 'post',
    path: '/v1/batches',
    tag: 'Batches',
    scope: 'predictions:write',
    summary: 'Run many requests, with their answers in a file',
    description:
      'Takes up to 50,000 requests, from a file of JSONL or inline, checks every line and runs them. Their answers come in two files.',
    headers: ['Idempotency-Key'],
    body: createBatch,
    example: {
      requests: [
        { custom_id: 'first', url: '/v1/predictions', body: { model: 'echo', input: { hello: 'world' } } },
      ],
    },
    errors: ['INVALID_PARAMETER', 'FILE_NOT_FOUND', 'IDEMPOTENCY_KEY_REUSED'],
    replies: { 200: { description: 'The batch; it is validated next', schema: batch } },
  },
  listBatches: {
    method: 'get',
    path: '/v1/batches',
    tag: 'Batches',
    scope: 'predictions:read',
    summary: 'List batches, newest first',
    description: 'Page by page: `after` takes the `last_id` of the page before.',
    query: listBatchesQuery,
    errors: ['INVALID_PARAMETER'],
    replies: { 200: { description: 'A page of batches', schema: batchList } },
  },
  getBatch: {
    method: 'get',
    path: '/v1/batches/{id}',
    tag: 'Batches',
    scope: 'predictions:read',
    summary: 'Get a batch',
    description: 'Where it is and how far.',
    params: batchId,
    errors: ['BATCH_NOT_FOUND'],
    replies: { 200: { description: 'The batch', schema: batch } },
  },
  cancelBatch: {
    method: 'post',
    path: '/v1/batches/{id}/cancel',
    tag: 'Batches',
    scope: 'predictions:write',
    summary: 'Cancel a batch; what it did is kept',
    description: 'What runs is cancelled, what was not begun is not run, and what was done is in its files.',
    params: batchId,
    errors: ['BATCH_NOT_FOUND'],
    replies: { 200: { description: 'The batch as it stands', schema: batch } },
  },
} as const satisfies Record<string, EndpointDefinition>
