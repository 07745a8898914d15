import type { EndpointDefinition } from './endpoint.ts'
import { adminEndpoints } from './endpoints/admin.ts'
import { batchEndpoints } from './endpoints/batches.ts'
import { billingEndpoints } from './endpoints/billing.ts'
import { budgetEndpoints } from './endpoints/budgets.ts'
import { fileEndpoints } from './endpoints/files.ts'
import { inferenceEndpoints } from './endpoints/inference.ts'
import { keyEndpoints } from './endpoints/keys.ts'
import { mediaEndpoints } from './endpoints/media.ts'
import { messagesEndpoints } from './endpoints/messages.ts'
import { modelEndpoints } from './endpoints/models.ts'
import { predictionEndpoints } from './endpoints/predictions.ts'
import { runEndpoints } from './endpoints/run.ts'
import { serviceEndpoints } from './endpoints/service.ts'
import { webhookEndpoints } from './endpoints/webhooks.ts'

/** Every endpoint of the API. Routes, request checks and the OpenAPI document all come from here, an area a file. */
export const endpoints = {
  ...predictionEndpoints,
  ...modelEndpoints,
  ...inferenceEndpoints,
  ...messagesEndpoints,
  ...mediaEndpoints,
  ...runEndpoints,
  ...batchEndpoints,
  ...fileEndpoints,
  ...webhookEndpoints,
  ...budgetEndpoints,
  ...billingEndpoints,
  ...keyEndpoints,
  ...adminEndpoints,
  ...serviceEndpoints,
} as const satisfies Record<string, EndpointDefinition>
