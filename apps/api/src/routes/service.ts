import { endpoints } from '@millrace/contract/endpoints'
import { openapiDocument } from '@millrace/contract/openapi'
import { ApiError } from '../api-error.ts'
import { isReady } from '../readiness.ts'
import { answer, route } from '../route.ts'

/** Whoever opens the printed URL in a browser lands where there is something to see. */
export const root = route(endpoints.root, async ({ response }) => {
  response.set('location', '/docs')
  return answer(302, { docs: '/docs' })
})

export const livez = route(endpoints.livez, async () => ({ status: 'ok' }))

export const readyz = route(endpoints.readyz, async ({ context }) => {
  if (!(await isReady(context))) throw new ApiError('SERVICE_UNAVAILABLE', 'Not ready.')
  return { status: 'ok' }
})

export const openapi = route(endpoints.openapi, async ({ context: { config } }) => {
  return openapiDocument({ publicUrl: config.PUBLIC_URL, version: config.version, dialects: config.DIALECTS })
})

export const getStatus = route(endpoints.getStatus, async ({ context, response }) => {
  response.set('cache-control', 'public, max-age=3')
  return context.status.of(context)
})
