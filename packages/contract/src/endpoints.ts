import { z } from 'zod'
import { batch, batchList, createBatch, listBatchesQuery } from './batch.ts'
import { createPrediction, job, run, runAccepted, runResult } from './create-prediction.ts'
import { inferenceEndpoints } from './endpoints/inference.ts'
import { mediaEndpoints } from './endpoints/media.ts'
import type { ErrorId } from './errors.ts'
import { file, fileDeleted, fileList } from './file.ts'
import { exportPredictionsQuery, listPredictionsQuery, pageQuery, predictionList } from './lists.ts'
import { anthropicModelList, model, modelArray, modelHealth, modelList } from './model.ts'
import { prediction, predictionActed } from './prediction.ts'
import {
  createEndpoint,
  deliveryList,
  endpoint,
  endpointDeleted,
  endpointList,
  endpointSecret,
  patchEndpoint,
} from './webhook-endpoint.ts'

const predictionId = z.object({ id: z.string().describe('pred_…') })
const batchId = z.object({ id: z.string().describe('batch_…') })
const fileId = z.object({ id: z.string().describe('file_…') })
const endpointId = z.object({
  id: z.string().describe('whe_…, or `default` for the secret of per-request webhooks'),
})
const slug = z.object({ slug: z.string().describe('The namespace or an alias of a model, percent-encoded') })
const schemaFields = z.object({ fields: z.string().optional().describe('input_schema,output_schema') })
const waitQuery = z.object({
  wait: z.coerce.number().min(0).max(50).optional().describe('Seconds to wait for a change'),
})

const createErrors: ErrorId[] = [
  'INVALID_INPUT',
  'INVALID_PARAMETER',
  'INVALID_WEBHOOK_URL',
  'INVALID_FILE_URL',
  'MODEL_NOT_FOUND',
  'MODEL_NOT_SUPPORTED',
  'IDEMPOTENCY_IN_PROGRESS',
  'IDEMPOTENCY_KEY_REUSED',
  'PREDICTION_NOT_FOUND',
]

/** Every endpoint of the API. Routes, request checks and the OpenAPI document all come from here. */
export const endpoints = {
  createPrediction: {
    method: 'post',
    path: '/v1/predictions',
    tag: 'Predictions',
    summary: 'Create a prediction',
    aliases: [{ method: 'post', path: '/v1/predict', dialect: 'skytells' }],
    headers: ['Idempotency-Key', 'Prefer'],
    body: createPrediction,
    example: { model: 'doodle', input: { prompt: 'a mill by a river' }, await: true },
    errors: createErrors,
    fieldErrors: { model: 'INVALID_INPUT', input: 'INVALID_INPUT' },
    replies: {
      201: { description: 'Accepted; the prediction as it stands', schema: prediction },
      200: { description: 'It finished already', schema: prediction },
    },
  },
  listPredictions: {
    method: 'get',
    path: '/v1/predictions',
    tag: 'Predictions',
    summary: 'List predictions, newest first',
    query: listPredictionsQuery,
    errors: [
      'INVALID_PARAMETER',
      'INVALID_DATE_FORMAT',
      'INVALID_DATE_RANGE',
      'INVALID_PARAMETER_COMBINATION',
      'MODEL_NOT_FOUND',
    ],
    replies: { 200: { description: 'A page of predictions', schema: predictionList } },
  },
  exportPredictions: {
    method: 'get',
    path: '/v1/predictions/export',
    tag: 'Predictions',
    summary: 'All predictions of a filter, one JSON object a line, newest first',
    query: exportPredictionsQuery,
    errors: ['INVALID_PARAMETER', 'INVALID_DATE_FORMAT', 'INVALID_DATE_RANGE', 'MODEL_NOT_FOUND'],
    replies: {
      200: { description: 'application/x-ndjson: a prediction a line', ndjson: true, schema: prediction },
    },
  },
  getPrediction: {
    method: 'get',
    path: '/v1/predictions/{id}',
    tag: 'Predictions',
    summary: 'Get a prediction',
    params: predictionId,
    query: waitQuery,
    headers: ['If-None-Match'],
    errors: ['PREDICTION_NOT_FOUND', 'INVALID_PARAMETER'],
    replies: {
      200: { description: 'The prediction', schema: prediction },
      304: { description: 'Unchanged since the ETag sent' },
    },
  },
  cancelPrediction: {
    method: 'post',
    path: '/v1/predictions/{id}/cancel',
    tag: 'Predictions',
    summary: 'Cancel a prediction',
    params: predictionId,
    errors: ['PREDICTION_NOT_FOUND'],
    replies: { 200: { description: 'The prediction as it stands', schema: predictionActed } },
  },
  deletePrediction: {
    method: 'delete',
    path: '/v1/predictions/{id}',
    tag: 'Predictions',
    summary: 'Delete a prediction',
    params: predictionId,
    aliases: [{ method: 'delete', path: '/v1/predictions/{id}/delete', dialect: 'skytells' }],
    errors: ['PREDICTION_NOT_FOUND'],
    replies: { 200: { description: 'The prediction as it was', schema: predictionActed } },
  },
  streamPrediction: {
    method: 'get',
    path: '/v1/predictions/{id}/stream',
    tag: 'Predictions',
    summary: 'Follow a prediction live (server-sent events)',
    params: predictionId,
    headers: ['Last-Event-ID'],
    errors: ['PREDICTION_NOT_FOUND'],
    replies: {
      200: {
        description: 'Events with `Accept: text/event-stream`, else the prediction',
        schema: prediction,
        stream: true,
      },
    },
  },
  listDeliveries: {
    method: 'get',
    path: '/v1/predictions/{id}/deliveries',
    tag: 'Predictions',
    summary: 'List the webhook deliveries of a prediction',
    params: predictionId,
    query: pageQuery,
    errors: ['PREDICTION_NOT_FOUND', 'INVALID_PARAMETER', 'INVALID_PARAMETER_COMBINATION'],
    replies: { 200: { description: 'Deliveries with their attempts', schema: deliveryList } },
  },
  listModels: {
    method: 'get',
    path: '/v1/models',
    tag: 'Models',
    summary: 'List models',
    query: schemaFields,
    errors: ['INVALID_PARAMETER'],
    replies: {
      200: {
        description:
          'A bare array with `x-api-key`; OpenAI’s list without; Anthropic’s with `anthropic-version`',
        schema: z.union([modelArray, modelList, anthropicModelList]),
      },
    },
  },
  getModel: {
    method: 'get',
    path: '/v1/models/{slug}',
    tag: 'Models',
    summary: 'Get a model',
    params: slug,
    query: schemaFields,
    aliases: [{ method: 'get', path: '/v1/model/{slug}', dialect: 'skytells' }],
    errors: ['MODEL_NOT_FOUND', 'INVALID_PARAMETER'],
    replies: { 200: { description: 'The model', schema: model } },
  },
  getModelHealth: {
    method: 'get',
    path: '/v1/models/{slug}/health',
    tag: 'Models',
    summary: 'Get how a model does: its queue, its workers and its run times',
    params: slug,
    errors: ['MODEL_NOT_FOUND'],
    replies: { 200: { description: 'As of a moment ago', schema: modelHealth } },
  },
  run: {
    method: 'post',
    path: '/v1/run',
    tag: 'Run',
    summary: 'Run any model and get its result',
    body: run,
    example: { model: 'doodle', inputs: { prompt: 'a mill by a river' } },
    headers: ['Prefer', 'Idempotency-Key'],
    errors: [
      ...createErrors,
      'MODEL_ERROR',
      'INVALID_OUTPUT',
      'CONTENT_POLICY_VIOLATION',
      'START_TIMEOUT',
      'RUN_TIMEOUT',
      'EXPIRED',
      'WORKER_LOST',
      'PROVIDER_UNAVAILABLE',
      'CANCELLED',
    ],
    fieldErrors: { model: 'INVALID_INPUT', input: 'INVALID_INPUT', inputs: 'INVALID_INPUT' },
    replies: {
      200: { description: 'The result, in the shape of the model’s type', schema: runResult, stream: true },
      202: { description: 'Accepted: poll `poll_url`', schema: runAccepted },
    },
  },
  listJobs: {
    method: 'get',
    path: '/v1/job',
    tag: 'Run',
    summary: 'List jobs',
    aliases: [{ method: 'get', path: '/v1/jobs' }],
    query: pageQuery
      .omit({ cursor: true })
      .extend({ status: z.enum(['queued', 'running', 'completed', 'failed']).optional() }),
    errors: ['INVALID_PARAMETER'],
    replies: {
      200: { description: 'Jobs, newest first', schema: z.object({ jobs: z.array(job), count: z.int() }) },
    },
  },
  getJob: {
    method: 'get',
    path: '/v1/job/{id}',
    tag: 'Run',
    summary: 'Get a job',
    params: predictionId,
    aliases: [{ method: 'get', path: '/v1/jobs/{id}' }],
    errors: ['PREDICTION_NOT_FOUND'],
    replies: { 200: { description: 'The job', schema: job } },
  },
  createBatch: {
    method: 'post',
    path: '/v1/batches',
    tag: 'Batches',
    summary: 'Run many requests, with their answers in a file',
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
    summary: 'List batches, newest first',
    query: listBatchesQuery,
    errors: ['INVALID_PARAMETER'],
    replies: { 200: { description: 'A page of batches', schema: batchList } },
  },
  getBatch: {
    method: 'get',
    path: '/v1/batches/{id}',
    tag: 'Batches',
    summary: 'Get a batch',
    params: batchId,
    errors: ['BATCH_NOT_FOUND'],
    replies: { 200: { description: 'The batch', schema: batch } },
  },
  cancelBatch: {
    method: 'post',
    path: '/v1/batches/{id}/cancel',
    tag: 'Batches',
    summary: 'Cancel a batch; what it did is kept',
    params: batchId,
    errors: ['BATCH_NOT_FOUND'],
    replies: { 200: { description: 'The batch as it stands', schema: batch } },
  },
  ...inferenceEndpoints,
  ...mediaEndpoints,
  uploadFile: {
    method: 'post',
    path: '/v1/files',
    tag: 'Files',
    summary: 'Upload a file',
    upload: true,
    query: z.object({ filename: z.string().max(255).optional(), purpose: z.string().max(64).optional() }),
    errors: ['INVALID_REQUEST', 'INVALID_PARAMETER', 'PAYLOAD_TOO_LARGE'],
    replies: { 201: { description: 'The file; its `url` works in `input`', schema: file } },
  },
  listFiles: {
    method: 'get',
    path: '/v1/files',
    tag: 'Files',
    summary: 'List files',
    query: pageQuery,
    errors: ['INVALID_PARAMETER', 'INVALID_PARAMETER_COMBINATION'],
    replies: { 200: { description: 'Files, newest first', schema: fileList } },
  },
  getFile: {
    method: 'get',
    path: '/v1/files/{id}',
    tag: 'Files',
    summary: 'Get a file',
    params: fileId,
    errors: ['FILE_NOT_FOUND'],
    replies: { 200: { description: 'The file', schema: file } },
  },
  getFileContent: {
    method: 'get',
    path: '/v1/files/{id}/content',
    tag: 'Files',
    summary: "A file's bytes, for its account",
    params: fileId,
    headers: ['Range'],
    errors: ['FILE_NOT_FOUND', 'RANGE_NOT_SATISFIABLE'],
    replies: {
      200: { description: 'The bytes', binary: true },
      206: { description: 'A part of them', binary: true },
    },
  },
  deleteFile: {
    method: 'delete',
    path: '/v1/files/{id}',
    tag: 'Files',
    summary: 'Delete a file',
    params: fileId,
    errors: ['FILE_NOT_FOUND'],
    replies: { 200: { description: 'It is gone', schema: fileDeleted } },
  },
  downloadFile: {
    method: 'get',
    path: '/files/{id}/{name}',
    tag: 'Files',
    summary: 'Download a file by its signed URL',
    open: true,
    params: fileId.extend({ name: z.string() }),
    query: z.object({ expires: z.string().optional(), signature: z.string().optional() }),
    headers: ['Range'],
    errors: ['FILE_NOT_FOUND', 'FILE_URL_EXPIRED', 'RANGE_NOT_SATISFIABLE'],
    replies: {
      200: { description: 'The bytes', binary: true },
      206: { description: 'A range of them', binary: true },
    },
  },
  takeCallback: {
    method: 'post',
    path: '/v1/callbacks/{token}',
    tag: 'Service',
    summary: 'Where a host reports of the job it does for a prediction',
    open: true,
    anyBody: true,
    example: { status: 'done' },
    params: z.object({ token: z.string().describe('Signed; part of the address the host was given') }),
    errors: ['PREDICTION_NOT_FOUND', 'PAYLOAD_TOO_LARGE'],
    replies: { 200: { description: 'Taken', schema: z.object({ received: z.literal(true) }) } },
  },
  createWebhook: {
    method: 'post',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    summary: 'Create a webhook endpoint',
    body: createEndpoint,
    example: { url: 'http://localhost:4000/', events: ['*'] },
    aliases: [{ method: 'post', path: '/v1/webhook_endpoints' }],
    fieldErrors: { url: 'INVALID_WEBHOOK_URL' },
    errors: ['INVALID_PARAMETER', 'INVALID_WEBHOOK_URL'],
    replies: { 201: { description: 'The endpoint', schema: endpoint } },
  },
  listWebhooks: {
    method: 'get',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    summary: 'List webhook endpoints',
    query: pageQuery,
    aliases: [{ method: 'get', path: '/v1/webhook_endpoints' }],
    errors: ['INVALID_PARAMETER', 'INVALID_PARAMETER_COMBINATION'],
    replies: { 200: { description: 'Endpoints, newest first', schema: endpointList } },
  },
  getWebhook: {
    method: 'get',
    path: '/v1/webhooks/{id}',
    tag: 'Webhooks',
    summary: 'Get a webhook endpoint',
    params: endpointId,
    aliases: [{ method: 'get', path: '/v1/webhook_endpoints/{id}' }],
    errors: ['WEBHOOK_NOT_FOUND'],
    replies: { 200: { description: 'The endpoint', schema: endpoint } },
  },
  patchWebhook: {
    method: 'patch',
    path: '/v1/webhooks/{id}',
    tag: 'Webhooks',
    summary: 'Change a webhook endpoint',
    params: endpointId,
    body: patchEndpoint,
    example: { active: false },
    aliases: [{ method: 'patch', path: '/v1/webhook_endpoints/{id}' }],
    fieldErrors: { url: 'INVALID_WEBHOOK_URL' },
    errors: ['WEBHOOK_NOT_FOUND', 'INVALID_PARAMETER', 'INVALID_WEBHOOK_URL'],
    replies: { 200: { description: 'The endpoint', schema: endpoint } },
  },
  deleteWebhook: {
    method: 'delete',
    path: '/v1/webhooks/{id}',
    tag: 'Webhooks',
    summary: 'Delete a webhook endpoint',
    params: endpointId,
    aliases: [{ method: 'delete', path: '/v1/webhook_endpoints/{id}' }],
    errors: ['WEBHOOK_NOT_FOUND'],
    replies: { 200: { description: 'It is gone', schema: endpointDeleted } },
  },
  getWebhookSecret: {
    method: 'get',
    path: '/v1/webhooks/{id}/secret',
    tag: 'Webhooks',
    summary: 'Show a signing secret',
    params: endpointId,
    aliases: [{ method: 'get', path: '/v1/webhook_endpoints/{id}/secret' }],
    errors: ['WEBHOOK_NOT_FOUND'],
    replies: { 200: { description: 'The secret', schema: endpointSecret } },
  },
  rotateWebhookSecret: {
    method: 'post',
    path: '/v1/webhooks/{id}/secret/rotate',
    tag: 'Webhooks',
    summary: 'Rotate a signing secret',
    params: endpointId,
    aliases: [{ method: 'post', path: '/v1/webhook_endpoints/{id}/secret/rotate' }],
    errors: ['WEBHOOK_NOT_FOUND'],
    replies: {
      200: { description: 'The new secret; the old one signs as well for 24 h', schema: endpointSecret },
    },
  },
  root: {
    method: 'get',
    path: '/',
    tag: 'Service',
    summary: 'Go to the reference',
    open: true,
    errors: [],
    replies: { 302: { description: 'The reference is at /docs', schema: z.object({ docs: z.string() }) } },
  },
  livez: {
    method: 'get',
    path: '/livez',
    tag: 'Service',
    summary: 'Is the process alive',
    open: true,
    errors: [],
    replies: { 200: { description: 'Yes', schema: z.object({ status: z.literal('ok') }) } },
  },
  readyz: {
    method: 'get',
    path: '/readyz',
    tag: 'Service',
    summary: 'Can it serve',
    open: true,
    errors: ['SERVICE_UNAVAILABLE'],
    replies: { 200: { description: 'Yes', schema: z.object({ status: z.literal('ok') }) } },
  },
  openapi: {
    method: 'get',
    path: '/openapi.json',
    tag: 'Service',
    summary: 'This document',
    open: true,
    errors: [],
    replies: { 200: { description: 'OpenAPI 3.1', schema: z.looseObject({ openapi: z.string() }) } },
  },
  docs: {
    method: 'get',
    path: '/docs',
    tag: 'Service',
    summary: 'The interactive reference',
    open: true,
    errors: [],
    replies: { 200: { description: 'A page', html: true } },
  },
} as const satisfies Record<string, EndpointDefinition>

/** One endpoint, as data. Paths have `{name}` parameters; `open` ones need no key. */
export interface EndpointDefinition {
  method: Method
  path: string
  tag: string
  summary: string
  open?: true
  upload?: true
  /** The body is taken as it comes. */
  anyBody?: true
  /** The body may come as multipart/form-data, too, with one file in the part of this name. */
  formFile?: string
  /** The shape of its errors, where that is not the one of `errorBody`. */
  envelope?: 'inference'
  aliases?: readonly { method: Method; path: string; dialect?: string }[]
  params?: z.ZodObject
  query?: z.ZodObject
  headers?: readonly string[]
  body?: z.ZodObject
  /** A body that works as it is on a fresh installation. */
  example?: Readonly<Record<string, unknown>>
  fieldErrors?: Readonly<Record<string, ErrorId>>
  errors: readonly ErrorId[]
  replies: Readonly<Record<number, Reply>>
}

export interface Reply {
  description: string
  schema?: z.ZodType
  stream?: true
  ndjson?: true
  binary?: true
  /** Or plain text. */
  text?: true
  html?: true
}

export type EndpointName = keyof typeof endpoints
type Method = 'get' | 'post' | 'patch' | 'delete'
