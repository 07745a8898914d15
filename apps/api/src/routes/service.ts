import { endpoints } from '@millrace/contract/endpoints'
import { openapiDocument } from '@millrace/contract/openapi'
import { ApiError } from '../api-error.ts'
import { isReady } from '../readiness.ts'
import { route } from '../route.ts'

export const livez = route(endpoints.livez, async () => ({ status: 'ok' }))

export const readyz = route(endpoints.readyz, async ({ context }) => {
  if (!(await isReady(context))) throw new ApiError('SERVICE_UNAVAILABLE', 'Not ready.')
  return { status: 'ok' }
})

export const openapi = route(endpoints.openapi, async ({ context: { config } }) => {
  return openapiDocument({ publicUrl: config.PUBLIC_URL, version: config.version, dialects: config.DIALECTS })
})
