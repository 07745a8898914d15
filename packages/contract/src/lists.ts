import { z } from 'zod'
import { prediction } from './prediction.ts'
import { statuses } from './statuses.ts'

/** How every list of ours pages. */
export const pageQuery = z.object({
  per_page: z.coerce
    .number()
    .int()
    .min(1)
    .max(50)
    .optional()
    .describe('How many at once; 15 unless told otherwise'),
  page: z.coerce.number().int().min(1).optional().describe('Which page, from 1; not with cursor'),
  cursor: z
    .string()
    .max(200)
    .optional()
    .describe('next_cursor or prev_cursor of another page: it costs the same at any depth'),
})

/** The query of `GET /v1/predictions`; `tag.NAME=value` comes on top. */
export const listPredictionsQuery = pageQuery.extend({
  from: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
  to: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
  model: z.string().optional().describe('Only those of this model'),
  status: z.enum(statuses).optional().describe('Only those in this status'),
})

/** The query of `GET /v1/predictions/export`: the filters of the list. */
export const exportPredictionsQuery = listPredictionsQuery.omit({ per_page: true, page: true, cursor: true })

export const pagination = z
  .object({
    current_page: z.int().describe('Which page this is'),
    per_page: z.int().describe('How many there are on a page at most'),
    total: z.int().describe('How many there are in all; counted to 10,000'),
    last_page: z.int().describe('The number of the last page'),
    next_cursor: z.string().nullable().describe('For the page after this one; null at the end'),
    prev_cursor: z.string().nullable().describe('For the page before this one; null at the beginning'),
    total_capped: z.boolean().optional().describe('There are more than were counted'),
  })
  .meta({ id: 'Pagination', description: 'Where in the list this page is' })

export const predictionList = z
  .object({ data: z.array(prediction).describe('Newest first'), pagination })
  .meta({ id: 'PredictionList', description: 'A page of predictions' })

export type Pagination = z.infer<typeof pagination>
export type PageQuery = z.infer<typeof pageQuery>
export type ListPredictionsQuery = z.infer<typeof listPredictionsQuery>
