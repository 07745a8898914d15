import { type ErrorBody, type ErrorId, errors } from '@millrace/contract/errors'

/** An error whose place is a reply. Thrown where it is known, answered in one place (answer-error.ts). */
export class ApiError extends Error {
  readonly id: ErrorId
  readonly options: ApiErrorOptions

  constructor(id: ErrorId, message: string = errors[id].message, options: ApiErrorOptions = {}) {
    super(message)
    this.name = 'ApiError'
    this.id = id
    this.options = options
  }
}

/** The error envelope of the contract. */
export function errorEnvelope(error: ApiError, requestId: string): ErrorBody {
  const { status, retryable, advice } = errors[error.id]
  const { fields, details, code, type, jobId } = error.options
  return {
    status: false,
    response: error.message,
    error: {
      http_status: status,
      message: error.message,
      details: details ?? fieldsText(fields) ?? advice,
      error_id: error.id,
      request_id: requestId,
      retryable,
      ...(fields ? { fields } : {}),
      ...(type ? { type } : {}),
      ...(code ? { code } : {}),
    },
    ...(jobId ? { job_id: jobId } : {}),
  }
}

function fieldsText(fields: Field[] | undefined): string | undefined {
  return fields?.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; ')
}

export interface ApiErrorOptions {
  fields?: Field[]
  details?: string
  headers?: Record<string, string>
  type?: string
  code?: string
  jobId?: string
}

export interface Field {
  path: string
  message: string
}
