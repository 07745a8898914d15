import type { RemoteKind } from '@millrace/models/provider-settings'
import { cog } from './cog.ts'
import { fal } from './fal.ts'
import { http } from './http.ts'
import type { Kind } from './open-remote.ts'
import { openai } from './openai.ts'
import { replicate } from './replicate.ts'

/** Every kind of host, one file each. */
export const kinds: { [Name in RemoteKind]: Kind<Name> } = { http, cog, openai, replicate, fal }
