import { z } from 'zod'
import type { EndpointDefinition } from '../endpoint.ts'
import { createKey, key, keyList, keyMade, patchKey, rotateKey } from '../key.ts'
import { pageQuery } from '../lists.ts'

const keyId = z.object({ id: z.string().describe('key_…') })

/** The keys of an account. */
export const keyEndpoints = {
  createKey: {
    method: 'post',
    path: '/v1/keys',
    tag: 'Keys',
    scope: 'keys:write',
    summary: 'Make a key',
    description:
      'Its text is shown this once. It may do no more than the key that asks for it: no other scopes, models and addresses, and for no longer.',
    body: createKey,
    example: { name: 'laptop', expires_in: 86_400 },
    errors: ['INVALID_PARAMETER', 'MODEL_FORBIDDEN'],
    replies: { 201: { description: 'The key, with its text', schema: keyMade } },
  },
  listKeys: {
    method: 'get',
    path: '/v1/keys',
    tag: 'Keys',
    scope: 'keys:read',
    summary: 'List keys',
    description: 'Those of the account, without their text; revoked and expired ones, too.',
    query: pageQuery,
    errors: ['INVALID_PARAMETER', 'INVALID_PARAMETER_COMBINATION'],
    replies: { 200: { description: 'Keys, newest first', schema: keyList } },
  },
  getKey: {
    method: 'get',
    path: '/v1/keys/{id}',
    tag: 'Keys',
    scope: 'keys:read',
    summary: 'Get a key',
    description: 'What it may do, and when it was used last.',
    params: keyId,
    errors: ['KEY_NOT_FOUND'],
    replies: { 200: { description: 'The key, without its text', schema: key } },
  },
  patchKey: {
    method: 'patch',
    path: '/v1/keys/{id}',
    tag: 'Keys',
    scope: 'keys:write',
    summary: 'Change a key',
    description:
      'What is left out stays, and null takes away. Neither before nor after may it do more than the key that asks.',
    params: keyId,
    body: patchKey,
    example: { name: 'old laptop' },
    errors: ['KEY_NOT_FOUND', 'INVALID_PARAMETER', 'INVALID_REQUEST', 'MODEL_FORBIDDEN'],
    replies: { 200: { description: 'The key', schema: key } },
  },
  deleteKey: {
    method: 'delete',
    path: '/v1/keys/{id}',
    tag: 'Keys',
    scope: 'keys:write',
    summary: 'Revoke a key',
    description:
      'It is refused from now on, in every process within a second. A key may revoke itself. It stays in the list.',
    params: keyId,
    errors: ['KEY_NOT_FOUND'],
    replies: { 200: { description: 'The key, which is revoked', schema: key } },
  },
  rotateKey: {
    method: 'post',
    path: '/v1/keys/{id}/rotate',
    tag: 'Keys',
    scope: 'keys:write',
    summary: 'Replace a key',
    description:
      'Makes a key that may do the same, and shows its text this once. The old one works beside it for a day, or for `overlap` seconds.',
    params: keyId,
    body: rotateKey,
    example: { overlap: 3600 },
    errors: ['KEY_NOT_FOUND', 'INVALID_PARAMETER', 'INVALID_REQUEST', 'MODEL_FORBIDDEN'],
    replies: { 201: { description: 'The new key, with its text', schema: keyMade } },
  },
} as const satisfies Record<string, EndpointDefinition>
