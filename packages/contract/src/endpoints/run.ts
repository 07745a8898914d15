import { z } from 'zod'
import { job, run, runAccepted, runResult } from '../create-prediction.ts'
import type { EndpointDefinition } from '../endpoint.ts'
import { pageQuery } from '../lists.ts'
import { createErrors, predictionId } from './predictions.ts'

/** Any model in one call, and the jobs of those that take longer. */
export const runEndpoints = {
  run: {
    method: 'post',
    path: '/v1/run',
    tag: 'Run',
    scope: 'predictions:write',
    summary: 'Run any model and get its result',
    description:
      'Makes a prediction, waits for its end and answers with its result. What takes longer, is of type video, starts later or is asked for with `async` is answered with 202 and a job to poll.',
    body: run,
    example: { model: 'doodle', inputs: { prompt: 'a mill by a river' } },
    headers: ['Prefer', 'Idempotency-Key'],
    errors: [
      ...createErrors,
      'MODEL_ERROR',
      'INVALID_OUTPUT',
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
    scope: 'predictions:read',
    summary: 'List jobs',
    description: 'Predictions in the words of jobs.',
    aliases: [{ method: 'get', path: '/v1/jobs' }],
    query: pageQuery.omit({ cursor: true }).extend({
      status: z
        .enum(['queued', 'running', 'completed', 'failed'])
        .optional()
        .describe('Only those in this status'),
    }),
    errors: ['INVALID_PARAMETER'],
    replies: {
      200: {
        description: 'Jobs, newest first',
        schema: z.object({
          jobs: z.array(job).describe('Newest first'),
          count: z.int().describe('How many there are in all'),
        }),
      },
    },
  },
  getJob: {
    method: 'get',
    path: '/v1/job/{id}',
    tag: 'Run',
    scope: 'predictions:read',
    summary: 'Get a job',
    description: 'A prediction in the words of jobs, with its result once it is completed.',
    params: predictionId,
    aliases: [{ method: 'get', path: '/v1/jobs/{id}' }],
    errors: ['PREDICTION_NOT_FOUND'],
    replies: { 200: { description: 'The job', schema: job } },
  },
} as const satisfies Record<string, EndpointDefinition>
