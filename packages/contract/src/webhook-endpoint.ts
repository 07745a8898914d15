import { z } from 'zod'
import { pagination } from './lists.ts'
import { time } from './prediction.ts'
import { bodyFormats } from './webhook-body.ts'

const headers = z
  .record(
    z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/, 'is no name of a header'),
    z
      .string()
      .max(1024)
      .regex(/^[\x20-\x7e]*$/, 'must be printable ASCII'),
  )
  .refine((all) => Object.keys(all).length <= 16, 'at most 16 headers')
  .describe('Sent with each delivery; our own headers cannot be replaced')

/** The body of `POST /v1/webhooks`. */
export const createEndpoint = z
  .object({
    url: z.string(),
    events: z.array(z.string()).min(1).optional().describe('Event names, or *'),
    format: z.enum(bodyFormats).optional(),
    description: z.string().max(500).optional(),
    headers: headers.optional(),
    active: z.boolean().optional(),
  })
  .meta({ id: 'CreateWebhookEndpoint' })

/** The body of `PATCH /v1/webhooks/{id}`: what is left out stays. */
export const patchEndpoint = createEndpoint.partial().meta({ id: 'PatchWebhookEndpoint' })

export const endpoint = z
  .object({
    id: z.string(),
    url: z.string(),
    events: z.array(z.string()),
    format: z.enum(bodyFormats),
    description: z.string(),
    headers: z.record(z.string(), z.string()),
    active: z.boolean(),
    disabled_reason: z.string().nullable(),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'WebhookEndpoint' })

export const endpointList = z
  .object({ data: z.array(endpoint), pagination })
  .meta({ id: 'WebhookEndpointList' })

export const endpointDeleted = z
  .object({ id: z.string(), deleted: z.literal(true) })
  .meta({ id: 'WebhookEndpointDeleted' })

/** A signing secret; after a rotation `previous_expires_at` says until when the old one signs as well. */
export const endpointSecret = z
  .object({ id: z.string(), secret: z.string(), previous_expires_at: time.nullable() })
  .meta({ id: 'WebhookSecret' })

/** A delivery of one event to one target, with all its attempts. */
export const delivery = z
  .object({
    id: z.string(),
    event: z.string(),
    url: z.string(),
    endpoint_id: z.string().nullable(),
    state: z.enum(['due', 'sending', 'delivered', 'exhausted', 'dropped']),
    created_at: time,
    next_attempt_at: time.nullable(),
    completed_at: time.nullable(),
    attempts: z.array(
      z.object({
        attempt: z.int(),
        at: time,
        status_code: z.int().nullable(),
        duration_ms: z.int(),
        response: z.string().nullable(),
        error: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'Delivery' })

export const deliveryList = z.object({ data: z.array(delivery), pagination }).meta({ id: 'DeliveryList' })

export type Endpoint = z.infer<typeof endpoint>
export type Delivery = z.infer<typeof delivery>
