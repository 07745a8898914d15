import { z } from 'zod'
import { pagination } from './lists.ts'
import { limits, modelRules, statedLimits, statedRules } from './plan.ts'
import { time } from './prediction.ts'
import { scopes } from './scopes.ts'

const name = z.string().trim().min(1).max(100).describe('What you call it')
const scopeList = z
  .array(z.enum(scopes))
  .min(1)
  .max(scopes.length)
  .describe('What it may do; what a key asks for must be among its own')
const ipAllow = z.array(z.string().min(1).max(64)).min(1).max(100)
const expiresAt = z.iso.datetime({ offset: true })
const mayBeNull = {
  models: statedRules.nullish().describe('Which of the models of the plan it may use; null for all of them'),
  ip_allow: ipAllow.nullish().describe('From where it may be used: addresses and ranges; null for anywhere'),
  limits: statedLimits.nullish().describe('Its own limits, on top of those of the account; null for none'),
  expires_at: expiresAt.nullish().describe('When it ends by itself; null for never'),
}
const expiresIn = z.int().min(1).max(315_360_000).describe('Seconds until it ends by itself')

/** The body of `POST /v1/keys`. */
export const createKey = z
  .object({
    name,
    scopes: scopeList
      .optional()
      .describe('What it may do: unless told, all that the key asking may but `keys:write` and `admin`'),
    ...mayBeNull,
    expires_in: expiresIn.optional(),
  })
  .meta({ id: 'CreateKey', description: 'A key to be' })

/** The body of `PATCH /v1/keys/{id}`: what is left out stays, and null takes away. */
export const patchKey = z
  .object({
    name: name.optional(),
    scopes: scopeList.optional(),
    ...mayBeNull,
    expires_in: expiresIn.optional(),
  })
  .meta({ id: 'PatchKey', description: 'What is to change of a key; what is left out stays' })

/** The body of `POST /v1/keys/{id}/rotate`. */
export const rotateKey = z
  .object({
    overlap: z
      .int()
      .min(0)
      .max(2_592_000)
      .optional()
      .describe('Seconds that the old key works beside the new one; a day unless told, 0 for not at all'),
    expires_at: expiresAt.nullish().describe('When the new key ends by itself; as the old one unless told'),
    expires_in: expiresIn.optional().describe('The same in seconds from now'),
  })
  .meta({ id: 'RotateKey', description: 'How a key is to be replaced' })

export const keyStates = ['active', 'expired', 'revoked'] as const

export const key = z
  .object({
    id: z.string().describe('key_…'),
    name: z.string().describe('What you call it'),
    prefix: z.string().describe('How the key begins; all of it is shown only when it is made'),
    state: z.enum(keyStates).describe('Whether it works'),
    scopes: z.array(z.string()).describe('What it may do'),
    models: modelRules
      .nullable()
      .describe('Which of the models of the plan it may use; null for all of them'),
    ip_allow: z.array(z.string()).nullable().describe('From where it may be used; null for anywhere'),
    limits: limits.nullable().describe('Its own limits, on top of those of the account'),
    created_at: time.describe('When it was made'),
    expires_at: time.nullable().describe('When it ends by itself'),
    revoked_at: time.nullable().describe('When it was revoked'),
    last_used_at: time.nullable().describe('When it was used last, to the minute'),
    rotated_from: z.string().nullable().describe('The key that it replaces'),
  })
  .meta({ id: 'Key', description: 'An API key, without its text' })

export const keyMade = key
  .extend({ key: z.string().describe('The key itself, shown this once: it cannot be shown again') })
  .meta({ id: 'KeyMade', description: 'A new API key with its text' })

export const keyList = z
  .object({ data: z.array(key).describe('Newest first'), pagination })
  .meta({ id: 'KeyList', description: 'A page of keys' })

export type ApiKey = z.infer<typeof key>
export type CreateKey = z.infer<typeof createKey>
export type PatchKey = z.infer<typeof patchKey>
export type RotateKey = z.infer<typeof rotateKey>
