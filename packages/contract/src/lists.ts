import { z } from 'zod'
import { prediction } from './prediction.ts'
import { statuses } from './statuses.ts'

/** How every list of ours pages. */
export const pageQuery = z.object({
  per_page: z.coerce.number().int().min(1).max(50).optional(),
  page: z.coerce.number().int().min(1).optional(),
  cursor: z.string().max(200).optional(),
})

/** The query of `GET /v1/predictions`; `tag.NAME=value` comes on top. */
export const listPredictionsQuery = pageQuery.extend({
  from: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
  to: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
  model: z.string().optional(),
  status: z.enum(statuses).optional(),
})

/** The query of `GET /v1/predictions/export`: the filters of the list. */
export const exportPredictionsQuery = listPredictionsQuery.omit({ per_page: true, page: true, cursor: true })

export const pagination = z
  .object({
    current_page: z.int(),
    per_page: z.int(),
    total: z.int(),
    last_page: z.int(),
    next_cursor: z.string().nullable(),
    prev_cursor: z.string().nullable(),
    total_capped: z.boolean().optional(),
  })
  .meta({ id: 'Pagination' })

export const predictionList = z
  .object({ data: z.array(prediction), pagination })
  .meta({ id: 'PredictionList' })

export type Pagination = z.infer<typeof pagination>
export type PageQuery = z.infer<typeof pageQuery>
export type ListPredictionsQuery = z.infer<typeof listPredictionsQuery>
