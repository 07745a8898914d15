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
  .refine((all) => Object.keys(all).length <= 16, 'must have at most 16 headers')
  .describe('Sent with each delivery; our own headers cannot be replaced')

/** The body of `POST /v1/webhooks`. */
export const createEndpoint = z
  .object({
    url: z.string().describe('Where to post; http(s), at an address that the service may reach'),
    events: z.array(z.string()).min(1).optional().describe('Event names, or *'),
    format: z
      .enum(bodyFormats)
      .optional()
      .describe(
        'How bodies are laid out: {type, timestamp, data}, the prediction with these at the top, or its id and status alone. Envelope unless told otherwise',
      ),
    description: z.string().max(500).optional().describe('A note of your own'),
    headers: headers.optional(),
    active: z.boolean().optional().describe('Whether it is sent anything; true unless told otherwise'),
  })
  .meta({ id: 'CreateWebhookEndpoint', description: 'An endpoint to be' })

/** The body of `PATCH /v1/webhooks/{id}`: what is left out stays. */
export const patchEndpoint = createEndpoint.partial().meta({
  id: 'PatchWebhookEndpoint',
  description: 'What is to change of an endpoint; what is left out stays',
})

export const endpoint = z
  .object({
    id: z.string().describe('whe_…'),
    url: z.string().describe('Where it is posted to'),
    events: z.array(z.string()).describe('What it is sent'),
    format: z.enum(bodyFormats).describe('How bodies are laid out'),
    description: z.string().describe('A note of your own'),
    headers: z.record(z.string(), z.string()).describe('Sent with each delivery'),
    active: z.boolean().describe('Whether it is sent anything'),
    disabled_reason: z.string().nullable().describe('Why it was switched off, if the service did that'),
    created_at: time.describe('When it was made'),
    updated_at: time.describe('When it was changed last'),
  })
  .meta({ id: 'WebhookEndpoint', description: 'A receiver of all events of an account' })

export const endpointList = z
  .object({ data: z.array(endpoint).describe('Newest first'), pagination })
  .meta({ id: 'WebhookEndpointList', description: 'A page of endpoints' })

export const endpointDeleted = z
  .object({
    id: z.string().describe('whe_…'),
    deleted: z.literal(true).describe('It is gone'),
  })
  .meta({ id: 'WebhookEndpointDeleted', description: 'An endpoint that is gone' })

/** A signing secret; after a rotation `previous_expires_at` says until when the old one signs as well. */
export const endpointSecret = z
  .object({
    id: z.string().describe('whe_…, or default'),
    secret: z.string().describe('whsec_ and the key in base64'),
    previous_expires_at: time
      .nullable()
      .describe('Until when the secret before it signs as well; null without one'),
  })
  .meta({ id: 'WebhookSecret', description: 'What deliveries are signed with' })

/** A delivery of one event to one target, with all its attempts. */
export const delivery = z
  .object({
    id: z.string().describe('msg_…, the webhook-id of every attempt'),
    event: z.string().describe('What it tells of'),
    url: z.string().describe('Where it goes'),
    endpoint_id: z.string().nullable().describe('whe_…; null where the request itself asked for it'),
    state: z
      .enum(['due', 'sending', 'delivered', 'exhausted', 'dropped'])
      .describe('due: to be sent; exhausted: given up after the last try; dropped: not to be sent any more'),
    created_at: time.describe('When the event was'),
    next_attempt_at: time.nullable().describe('When it is tried next; null when it is not'),
    completed_at: time.nullable().describe('When it was delivered or given up'),
    attempts: z
      .array(
        z.object({
          attempt: z.int().describe('From 1'),
          at: time.describe('When'),
          status_code: z.int().nullable().describe('What the receiver answered; null without an answer'),
          duration_ms: z.int().describe('Milliseconds until then'),
          response: z.string().nullable().describe('How its answer began'),
          error: z.string().nullable().describe('Why there was no good answer'),
        }),
      )
      .describe('Every try'),
  })
  .meta({ id: 'Delivery', description: 'One event on its way to one receiver' })

export const deliveryList = z
  .object({ data: z.array(delivery).describe('Newest first'), pagination })
  .meta({ id: 'DeliveryList', description: 'A page of deliveries' })

export type Endpoint = z.infer<typeof endpoint>
export type Delivery = z.infer<typeof delivery>
