import { ApiError } from './api-error.ts'

/** INVALID_PARAMETER about one field; the message goes on where the field's name ends: `must be a number`. */
export function badParameter(path: string, message: string): ApiError {
  return new ApiError('INVALID_PARAMETER', `${path} ${message}.`, { fields: [{ path, message }] })
}
