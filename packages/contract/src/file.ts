import { z } from 'zod'
import { pagination } from './lists.ts'

/** An uploaded or produced file: OpenAI's shape, with where to fetch it. */
export const file = z
  .object({
    id: z.string().describe('file_…'),
    object: z.literal('file').describe('Always file'),
    bytes: z.int().describe('Its size'),
    created_at: z.int().describe('Unix seconds'),
    filename: z.string().describe('Its name'),
    purpose: z.string().describe('What it is for, in the words of whoever uploaded it'),
    url: z
      .string()
      .describe('Signed; works in an input, and for 24 hours. Read the file again for another one'),
    content_type: z.string().describe('What kind of file it is'),
    expires_at: z.int().nullable().describe('Unix seconds; when it goes. Null: with whatever it belongs to'),
  })
  .meta({ id: 'File', description: 'A file that was uploaded or made' })

export const fileList = z
  .object({ data: z.array(file).describe('Newest first'), pagination })
  .meta({ id: 'FileList', description: 'A page of files' })

export const fileDeleted = z
  .object({
    id: z.string().describe('file_…'),
    object: z.literal('file').describe('Always file'),
    deleted: z.literal(true).describe('It is gone'),
  })
  .meta({ id: 'FileDeleted', description: 'A file that is gone' })

export type File = z.infer<typeof file>
