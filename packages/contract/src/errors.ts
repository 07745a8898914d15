import { z } from 'zod'

/**
 * Every error an API reply may carry: its HTTP status, whether the same request may be sent again, and what to do.
 * docs/errors.md is generated from this table.
 */
export const errors = {
  INVALID_REQUEST: {
    status: 400,
    retryable: false,
    message: 'The request could not be read.',
    advice:
      'Send one JSON object with `content-type: application/json`, at most 64 levels deep and with numbers a double can hold.',
  },
  INVALID_INPUT: {
    status: 400,
    retryable: false,
    message: 'The model or its input is not valid.',
    advice:
      'Compare `input` with the schema of `GET /v1/models/{slug}?fields=input_schema`; `error.fields` names each field.',
  },
  INVALID_PARAMETER: {
    status: 400,
    retryable: false,
    message: 'A parameter is not valid.',
    advice: 'Correct the parameters that `error.fields` names.',
  },
  INVALID_WEBHOOK_URL: {
    status: 400,
    retryable: false,
    message: 'The webhook URL cannot be used.',
    advice:
      'Use an http(s) URL without credentials whose host is public, or have the operator open its network with `OUTBOUND_ALLOW`.',
  },
  INVALID_FILE_URL: {
    status: 400,
    retryable: false,
    message: 'The file URL cannot be used.',
    advice: 'Use a public http(s) URL, a data URL, or the `url` of a file uploaded with `POST /v1/files`.',
  },
  INVALID_DATE_FORMAT: {
    status: 400,
    retryable: false,
    message: 'A date is not valid.',
    advice: 'Use `YYYY-MM-DD` or a full ISO 8601 time.',
  },
  INVALID_DATE_RANGE: {
    status: 400,
    retryable: false,
    message: 'The date range is empty.',
    advice: '`from` must not be after `to`.',
  },
  INVALID_PARAMETER_COMBINATION: {
    status: 400,
    retryable: false,
    message: 'These parameters exclude each other.',
    advice: 'Send either `page` or `cursor`.',
  },
  UNAUTHORIZED: {
    status: 401,
    retryable: false,
    message: 'The API key is missing or not valid.',
    advice:
      'Send `x-api-key: sk-mr-…` or `Authorization: Bearer sk-mr-…` with a key that is neither revoked nor expired.',
  },
  ACCOUNT_SUSPENDED: {
    status: 401,
    retryable: false,
    message: 'This account is suspended.',
    advice: 'Ask the operator of this service.',
  },
  INSUFFICIENT_CREDITS: {
    status: 402,
    retryable: false,
    message: 'The credits of this account do not cover the estimate.',
    advice:
      'Ask the operator of this service for credits; `GET /v1/balance` shows what there is and what is held.',
  },
  PAYMENT_REQUIRED: {
    status: 402,
    retryable: false,
    message: 'The balance of this account is below zero.',
    advice: 'Ask the operator of this service for credits; `GET /v1/ledger` shows what was charged.',
  },
  BUDGET_EXCEEDED: {
    status: 402,
    retryable: false,
    message: 'A budget is used up.',
    advice: 'Wait until its period is over, or raise its cap.',
  },
  SECURITY_VIOLATION: {
    status: 403,
    retryable: false,
    message: 'The request is not allowed from here.',
    advice: 'Send it from an address that the key allows.',
  },
  MODEL_FORBIDDEN: {
    status: 403,
    retryable: false,
    message: 'This model may not be used with this key.',
    advice: '`GET /v1/models` lists the models that the plan of the account and the key allow.',
  },
  SCOPE_REQUIRED: {
    status: 403,
    retryable: false,
    message: 'The key is not allowed to do this.',
    advice: 'Use a key that has the scope which the message names.',
  },
  MODEL_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such model.',
    advice: '`GET /v1/models` lists the models; the `namespace` is what `model` takes.',
  },
  PREDICTION_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such prediction.',
    advice: 'Check the id; deleted predictions and those of other accounts answer like this too.',
  },
  FILE_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such file.',
    advice: 'Check the id; signed file URLs expire, so read the prediction or file again for a fresh one.',
  },
  BATCH_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such batch.',
    advice: 'Check the id; batches of other accounts answer like this too.',
  },
  ANSWER_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such stored answer.',
    advice:
      'Check the id; what was not stored, is over or deleted, or belongs to another account answers like this too.',
  },
  FILE_URL_EXPIRED: {
    status: 410,
    retryable: false,
    message: 'The time of this file URL is over. Get the prediction or the file again for a new one.',
    advice:
      'Get the prediction, or the file, again: every answer has URLs that are good for another 24 hours.',
  },
  WEBHOOK_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such webhook endpoint.',
    advice:
      '`GET /v1/webhooks` lists the endpoints of this account; `default` is the one of per-request webhooks.',
  },
  KEY_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such key.',
    advice: '`GET /v1/keys` lists them.',
  },
  ACCOUNT_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such account.',
    advice: '`GET /v1/admin/accounts` lists them.',
  },
  PLAN_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such plan.',
    advice: '`GET /v1/admin/plans` lists them.',
  },
  BUDGET_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such budget.',
    advice: '`GET /v1/budgets` lists them.',
  },
  ENDPOINT_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such endpoint.',
    advice: '`/docs` lists every method and path. A slash inside a model id is sent as `%2F`.',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    retryable: true,
    message: 'The request took too long to arrive.',
    advice: 'Send it again: the head within a minute, all of it within an hour.',
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    retryable: false,
    message: 'The request is too large.',
    advice: 'Upload large files with `POST /v1/files` and send their URL.',
  },
  RANGE_NOT_SATISFIABLE: {
    status: 416,
    retryable: false,
    message: 'The file has no such range.',
    advice: 'Ask for a range inside the length that `content-range` gives.',
  },
  MODEL_NOT_SUPPORTED: {
    status: 422,
    retryable: false,
    message: 'The model is served by another endpoint.',
    advice: 'Use the path that the message names.',
  },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    retryable: false,
    message: 'This Idempotency-Key was used with another request.',
    advice: 'Use a new key for a new request; send the very same request to have its answer again.',
  },
  IDEMPOTENCY_IN_PROGRESS: {
    status: 409,
    retryable: true,
    message: 'The first request with this Idempotency-Key is still being accepted.',
    advice: 'Send the same request again after the seconds in `Retry-After`.',
  },
  MODEL_ERROR: {
    status: 422,
    retryable: false,
    message: 'The model failed.',
    advice: "The message is the model's own; a changed input may help, the same request will fail again.",
  },
  INVALID_OUTPUT: {
    status: 422,
    retryable: false,
    message: 'The model answered something that cannot be used.',
    advice: 'Report it to whoever maintains the model: its output breaks its own schema or a limit.',
  },
  START_TIMEOUT: {
    status: 504,
    retryable: false,
    message: 'No worker began the prediction in time.',
    advice: 'Raise `timeouts.start`, or start more workers.',
  },
  RUN_TIMEOUT: {
    status: 504,
    retryable: false,
    message: 'The run took longer than its time limit.',
    advice: 'Raise `timeouts.run`, or ask for less at once.',
  },
  EXPIRED: {
    status: 410,
    retryable: false,
    message: 'The prediction had not begun within its `expires_in`.',
    advice: 'Create it again, with more time or a higher `priority`.',
  },
  WORKER_LOST: {
    status: 503,
    retryable: false,
    message: 'The processes that ran the prediction died.',
    advice: 'Look for crashes and memory use of the model, then create it again.',
  },
  PROVIDER_UNAVAILABLE: {
    status: 503,
    retryable: false,
    message: 'The host of the model could not be reached.',
    advice: 'Try again later, or name another model.',
  },
  CONTENT_POLICY_VIOLATION: {
    status: 451,
    retryable: false,
    message: 'The content policy of the model forbids this.',
    advice: 'Ask for something else; the same request will be refused again.',
  },
  RATE_LIMIT_EXCEEDED: {
    status: 429,
    retryable: true,
    message: 'Too many requests.',
    advice: 'Wait for as long as `Retry-After` says.',
  },
  QUEUE_FULL: {
    status: 429,
    retryable: true,
    message: 'Too many predictions of this account are waiting.',
    advice: 'Wait until some of them have ended; `Retry-After` says when to try again.',
  },
  RATE_LIMITED: {
    status: 429,
    retryable: true,
    message: 'Too many requests.',
    advice: 'Send the request again after the seconds in `Retry-After`.',
  },
  INFERENCE_ERROR: {
    status: 502,
    retryable: true,
    message: 'The host of the model did not answer as it should.',
    advice: 'Send the request again, or name another model; the request id finds the reason in the log.',
  },
  INFERENCE_TIMEOUT: {
    status: 504,
    retryable: false,
    message: 'The answer takes longer than a connection is held for it.',
    advice:
      'Of text: ask for less, or ask again. Of pictures, speech and transcriptions: get the prediction that the message names, or send the same request with the same Idempotency-Key: it goes on waiting.',
  },
  CANCELLED: {
    status: 422,
    retryable: false,
    message: 'The job was cancelled.',
    advice: 'Create it again if it is still wanted.',
  },
  INTERNAL_ERROR: {
    status: 500,
    retryable: true,
    message: 'Something went wrong on our side.',
    advice: 'Send the request again; if it stays, give the operator the request id.',
  },
  SERVICE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    message: 'The service cannot reach its database.',
    advice:
      'Send the request again after the seconds in `Retry-After`, with the same Idempotency-Key when creating.',
  },
} as const satisfies Record<string, ErrorEntry>

/** The error ids a failed prediction itself may carry. */
export const predictionErrorIds = [
  'MODEL_ERROR',
  'INVALID_OUTPUT',
  'START_TIMEOUT',
  'RUN_TIMEOUT',
  'EXPIRED',
  'WORKER_LOST',
  'PROVIDER_UNAVAILABLE',
  'CONTENT_POLICY_VIOLATION',
] as const

/** The error envelope of every reply but inference's. `details` is a string: strict clients decode nothing else. */
export const errorBody = z
  .object({
    status: z.literal(false).describe('Always false'),
    response: z.string().describe('The same text as error.message'),
    error: z
      .object({
        http_status: z.int().describe('The status of the reply'),
        message: z.string().describe('What is wrong, for a person'),
        details: z.string().describe('More of it, or what to do'),
        error_id: z.string().describe('What is wrong, for a program: it does not change'),
        request_id: z.string().describe('Also in x-request-id and in the log of the service'),
        retryable: z.boolean().describe('Whether the very same request may be sent again'),
        fields: z
          .array(
            z.object({
              path: z.string().describe('Such as input.prompt'),
              message: z.string().describe('What is wrong with it'),
            }),
          )
          .optional()
          .describe('Each field that is wrong'),
        type: z
          .string()
          .optional()
          .describe('On /v1/run and /v1/job: the kind of error, in the words of that dialect'),
        code: z.string().optional().describe('The same, more closely'),
      })
      .describe('What went wrong'),
    job_id: z.string().optional().describe('On /v1/run: the prediction that failed'),
  })
  .meta({ id: 'Error', description: 'What every error looks like' })

export interface ErrorEntry {
  status: number
  retryable: boolean
  message: string
  advice: string
}

export type ErrorId = keyof typeof errors
export type ErrorBody = z.infer<typeof errorBody>
export type PredictionErrorId = (typeof predictionErrorIds)[number]
