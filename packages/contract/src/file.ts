import { z } from 'zod'
import { pagination } from './lists.ts'

/** An uploaded or produced file: OpenAI's shape, with where to fetch it. */
export const file = z
  .object({
    id: z.string(),
    object: z.literal('file'),
    bytes: z.int(),
    created_at: z.int(),
    filename: z.string(),
    purpose: z.string(),
    url: z.string(),
    content_type: z.string(),
    expires_at: z.int().nullable(),
  })
  .meta({ id: 'File' })

export const fileList = z.object({ data: z.array(file), pagination }).meta({ id: 'FileList' })

export const fileDeleted = z
  .object({ id: z.string(), object: z.literal('file'), deleted: z.literal(true) })
  .meta({ id: 'FileDeleted' })

export type File = z.infer<typeof file>
