import { z } from 'zod'
import { createPrediction } from '../create-prediction.ts'
import type { EndpointDefinition } from '../endpoint.ts'
import type { ErrorId } from '../errors.ts'
import { exportPredictionsQuery, listPredictionsQuery, pageQuery, predictionList } from '../lists.ts'
import { prediction, predictionActed } from '../prediction.ts'
import { deliveryList } from '../webhook-endpoint.ts'

/** The id in a path. */
export const predictionId = z.object({ id: z.string().describe('pred_…') })

const waitQuery = z.object({
  wait: z.coerce
    .number()
    .min(0, 'must be at least 0 seconds')
    .max(50, 'must be at most 50 seconds')
    .optional()
    .describe('Seconds to wait for a change'),
})

/** What a create may be refused with, whatever the dialect. */
export const createErrors: ErrorId[] = [
  'INVALID_INPUT',
  'INVALID_PARAMETER',
  'INVALID_WEBHOOK_URL',
  'INVALID_FILE_URL',
  'MODEL_NOT_FOUND',
  'MODEL_NOT_SUPPORTED',
  'MODEL_FORBIDDEN',
  'IDEMPOTENCY_IN_PROGRESS',
  'IDEMPOTENCY_KEY_REUSED',
  'PREDICTION_NOT_FOUND',
]

/** Predictions: made, read, followed, cancelled and deleted. */
export const predictionEndpoints = {
  createPrediction: {
    method: 'post',
    path: '/v1/predictions',
    tag: 'Predictions',
    scope: 'predictions:write',
    summary: 'Create a prediction',
    description:
      'Checks the request, stores the prediction and answers at once, or after the wait that `await` or `Prefer` ask for. What was answered with 2xx is run and never lost; a run that fails is no HTTP error but has `status: failed`.',
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
    scope: 'predictions:read',
    summary: 'List predictions, newest first',
    description:
      'By page or by cursor, filtered by `model`, `status`, time, and by tags with `tag.NAME=value`. Inputs and outputs over 64 KB are left out and named in `metadata.truncated`.',
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
    scope: 'predictions:read',
    summary: 'All predictions of a filter, one JSON object a line, newest first',
    description:
      'Streams whole predictions as they are found, with the filters of the list. Nothing is left out for its size.',
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
    scope: 'predictions:read',
    summary: 'Get a prediction',
    description:
      'As it stands, or with `wait` once its status has changed. While it is unfinished `Retry-After` says when to ask again.',
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
    scope: 'predictions:write',
    summary: 'Cancel a prediction',
    description:
      'At once while it waits. While it runs, its model is asked to stop; the answer waits for that up to a second. One that has ended stays as it is.',
    params: predictionId,
    errors: ['PREDICTION_NOT_FOUND'],
    replies: { 200: { description: 'The prediction as it stands', schema: predictionActed } },
  },
  deletePrediction: {
    method: 'delete',
    path: '/v1/predictions/{id}',
    tag: 'Predictions',
    scope: 'predictions:write',
    summary: 'Delete a prediction',
    description:
      'Hides it at once and cancels it when it runs. Its last webhook is still sent; then its values, files and events go.',
    params: predictionId,
    aliases: [{ method: 'delete', path: '/v1/predictions/{id}/delete', dialect: 'skytells' }],
    errors: ['PREDICTION_NOT_FOUND'],
    replies: { 200: { description: 'The prediction as it was', schema: predictionActed } },
  },
  streamPrediction: {
    method: 'get',
    path: '/v1/predictions/{id}/stream',
    tag: 'Predictions',
    scope: 'predictions:read',
    summary: 'Follow a prediction live (server-sent events)',
    description:
      'The events so far, then live: `status`, `output`, `log`, `progress`, and `done` with the whole prediction. `Last-Event-ID` resumes after the event it names.',
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
    scope: 'predictions:read',
    summary: 'List the webhook deliveries of a prediction',
    description: 'What was sent of its events, to whom, and what each try came to.',
    params: predictionId,
    query: pageQuery,
    errors: ['PREDICTION_NOT_FOUND', 'INVALID_PARAMETER', 'INVALID_PARAMETER_COMBINATION'],
    replies: { 200: { description: 'Deliveries with their attempts', schema: deliveryList } },
  },
} as const satisfies Record<string, EndpointDefinition>
