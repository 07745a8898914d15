import { z } from 'zod'
import type { EndpointDefinition } from '../endpoint.ts'
import { pageQuery } from '../lists.ts'
import {
  createEndpoint,
  endpoint,
  endpointDeleted,
  endpointList,
  endpointSecret,
  patchEndpoint,
} from '../webhook-endpoint.ts'

const endpointId = z.object({
  id: z.string().describe('whe_…, or `default` for the secret of per-request webhooks'),
})

/** Where all events of an account are sent. */
export const webhookEndpoints = {
  createWebhook: {
    method: 'post',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    scope: 'webhooks:write',
    summary: 'Create a webhook endpoint',
    description:
      'From now on it is sent the events of all predictions of the account. Its deliveries are signed with a secret of its own.',
    body: createEndpoint,
    example: { url: 'http://localhost:4000/', events: ['*'] },
    aliases: [{ method: 'post', path: '/v1/webhook_endpoints' }],
    fieldErrors: { url: 'INVALID_WEBHOOK_URL' },
    errors: ['INVALID_PARAMETER', 'INVALID_WEBHOOK_URL'],
    replies: { 201: { description: 'The endpoint', schema: endpoint } },
  },
  listWebhooks: {
    method: 'get',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    scope: 'webhooks:read',
    summary: 'List webhook endpoints',
    description: 'Page by page or by cursor.',
    query: pageQuery,
    aliases: [{ method: 'get', path: '/v1/webhook_endpoints' }],
    errors: ['INVALID_PARAMETER', 'INVALID_PARAMETER_COMBINATION'],
    replies: { 200: { description: 'Endpoints, newest first', schema: endpointList } },
  },
  getWebhook: {
    method: 'get',
    path: '/v1/webhooks/{id}',
    tag: 'Webhooks',
    scope: 'webhooks:read',
    summary: 'Get a webhook endpoint',
    description: 'What it is sent, and whether it is active.',
    params: endpointId,
    aliases: [{ method: 'get', path: '/v1/webhook_endpoints/{id}' }],
    errors: ['WEBHOOK_NOT_FOUND'],
    replies: { 200: { description: 'The endpoint', schema: endpoint } },
  },
  patchWebhook: {
    method: 'patch',
    path: '/v1/webhooks/{id}',
    tag: 'Webhooks',
    scope: 'webhooks:write',
    summary: 'Change a webhook endpoint',
    description: 'What is left out stays.',
    params: endpointId,
    body: patchEndpoint,
    example: { active: false },
    aliases: [{ method: 'patch', path: '/v1/webhook_endpoints/{id}' }],
    fieldErrors: { url: 'INVALID_WEBHOOK_URL' },
    errors: ['WEBHOOK_NOT_FOUND', 'INVALID_PARAMETER', 'INVALID_WEBHOOK_URL'],
    replies: { 200: { description: 'The endpoint', schema: endpoint } },
  },
  deleteWebhook: {
    method: 'delete',
    path: '/v1/webhooks/{id}',
    tag: 'Webhooks',
    scope: 'webhooks:write',
    summary: 'Delete a webhook endpoint',
    description: 'Nothing more is sent to it.',
    params: endpointId,
    aliases: [{ method: 'delete', path: '/v1/webhook_endpoints/{id}' }],
    errors: ['WEBHOOK_NOT_FOUND'],
    replies: { 200: { description: 'It is gone', schema: endpointDeleted } },
  },
  getWebhookSecret: {
    method: 'get',
    path: '/v1/webhooks/{id}/secret',
    tag: 'Webhooks',
    scope: 'webhooks:write',
    summary: 'Show a signing secret',
    description: 'What its deliveries are signed with; `default` is the one of per-request webhooks.',
    params: endpointId,
    aliases: [{ method: 'get', path: '/v1/webhook_endpoints/{id}/secret' }],
    errors: ['WEBHOOK_NOT_FOUND'],
    replies: { 200: { description: 'The secret', schema: endpointSecret } },
  },
  rotateWebhookSecret: {
    method: 'post',
    path: '/v1/webhooks/{id}/secret/rotate',
    tag: 'Webhooks',
    scope: 'webhooks:write',
    summary: 'Rotate a signing secret',
    description:
      'Makes a new one. For 24 hours deliveries carry both signatures, so that receivers can change over.',
    params: endpointId,
    aliases: [{ method: 'post', path: '/v1/webhook_endpoints/{id}/secret/rotate' }],
    errors: ['WEBHOOK_NOT_FOUND'],
    replies: {
      200: { description: 'The new secret; the old one signs as well for 24 h', schema: endpointSecret },
    },
  },
} as const satisfies Record<string, EndpointDefinition>
