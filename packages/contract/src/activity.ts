import { z } from 'zod'
import { pageQuery, pagination } from './lists.ts'
import { time } from './prediction.ts'
import { statuses } from './statuses.ts'

/** What can be asked for: a prediction, or a call for inference by one of its surfaces. */
export const activityTypes = ['prediction', 'chat', 'responses', 'embeddings', 'messages', 'run'] as const

const range = {
  from: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
  to: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
}

const ofWhat = {
  model: z.string().max(256).optional().describe('Only what asked for this model, under any of its names'),
  key: z.string().max(64).optional().describe('Only what was asked with this key: key_…'),
  type: z.enum(activityTypes).optional().describe('Only predictions, or calls of one surface'),
}

/** The query of `GET /v1/activity`; `tag.NAME=value` comes on top. */
export const activityQuery = pageQuery.extend({
  ...range,
  ...ofWhat,
  status: z.enum(statuses).optional().describe('Only what is in this status'),
  request_id: z.string().max(128).optional().describe('Only what this request asked for: its x-request-id'),
  format: z
    .enum(['json', 'ndjson', 'csv'])
    .optional()
    .describe('ndjson and csv give all rows of the filter, without pages; or by Accept'),
})

/** A key, as rows and groups name it. */
const keyName = z
  .object({
    id: z.string().describe('key_…'),
    name: z.string().nullable().describe('Its name; null where it is not known any more'),
  })
  .nullable()

/** A prediction or a call for inference. */
export const activityRow = z
  .object({
    id: z.string().describe('pred_… of a prediction, call_… of a call'),
    type: z.enum(activityTypes).describe('prediction, or the surface that a call came by'),
    model: z.string().describe('As it was asked for'),
    served_by: z.string().nullable().describe('The other model that answered; null where none did'),
    status: z
      .enum(statuses)
      .describe('Of a call: processing, then succeeded, failed or cancelled, which is when its client left'),
    error_id: z.string().nullable().describe('Why it failed, for a program; null unless it did'),
    key: keyName.describe('The key it was asked with; null where that is not known'),
    request_id: z
      .string()
      .nullable()
      .describe('The x-request-id of the request that asked for it; null for lines of a batch'),
    created_at: time.describe('When it was asked for'),
    started_at: time.nullable().describe('When its run began; null before, and where it never did'),
    ended_at: time.nullable().describe('When it ended; null before'),
    seconds: z
      .number()
      .nullable()
      .describe('From its begin to its end; null before, and where it never began'),
    tokens: z
      .object({
        input: z.int().nullable().describe('Tokens that were sent'),
        output: z.int().nullable().describe('Tokens that were answered'),
        estimated: z.boolean().describe('They were counted here, since the host did not say'),
      })
      .describe('Null where none are known'),
    credits: z.number().describe('What it was charged'),
    tags: z.record(z.string(), z.string()).describe('Those of a prediction; calls have none'),
    source: z
      .enum(['api', 'cli', 'web'])
      .describe('What it came through: the API, our command line or the console'),
  })
  .meta({ id: 'ActivityRow', description: 'A prediction or a call for inference, and what came of it' })

export const activityList = z
  .object({ data: z.array(activityRow).describe('Newest first'), pagination })
  .meta({ id: 'ActivityList', description: 'A page of what was asked' })

/** By what usage can be grouped. */
export const usageGroupings = ['model', 'key', 'type', 'day', 'hour', 'tag'] as const

/** The query of `GET /v1/usage`; `tag.NAME=value` comes on top. */
export const usageQuery = z.object({
  period: z
    .enum(['hour', 'day', 'month'])
    .optional()
    .describe('This hour, day or month so far, in UTC; month unless from or to is given'),
  ...range,
  group_by: z.enum(usageGroupings).optional().describe('One group unless it is given'),
  tag: z.string().max(64).optional().describe('With group_by=tag: only the values of this tag'),
  ...ofWhat,
})

const counts = {
  total: z.int().describe('How many ended within that time'),
  succeeded: z.int().describe('Of those, how many succeeded'),
  failed: z.int().describe('How many failed'),
  cancelled: z.int().describe('How many were cancelled, or left by their clients'),
  error_rate: z
    .number()
    .min(0)
    .max(1)
    .describe('The share that failed of those that succeeded or failed; 0 of none'),
  tokens: z
    .object({
      input: z.int().describe('Tokens that were sent'),
      output: z.int().describe('Tokens that were answered'),
    })
    .describe('Tokens, where they are known'),
  seconds: z.number().describe('From begin to end, all together'),
  credits: z.number().describe('What was charged'),
  duration: z
    .object({
      p50: z.number().nullable().describe('Seconds; half of them took no longer'),
      p95: z.number().nullable().describe('Seconds; nineteen in twenty took no longer'),
    })
    .describe('From begin to end, to within a twentieth; null where nothing had begun'),
}

/** What usage counts. */
export const usageCounts = z
  .object(counts)
  .meta({ id: 'UsageCounts', description: 'What ended within a time, counted and summed up' })

export const usageGroup = z
  .object({
    model: z.string().optional().describe('With group_by=model: as it was asked for'),
    key: keyName.optional().describe('With group_by=key: null for what was asked without a known one'),
    type: z.enum(activityTypes).optional().describe('With group_by=type'),
    day: z.iso.date().optional().describe('With group_by=day, in UTC'),
    hour: time.optional().describe('With group_by=hour: when it began'),
    tag: z
      .object({
        name: z.string().describe('The name of the tag'),
        value: z.string().nullable().describe('Null: values beyond the first thousand of a day, together'),
      })
      .optional()
      .describe('With group_by=tag: what has several tags is in several groups, what has none in none'),
    ...counts,
  })
  .meta({ id: 'UsageGroup', description: 'The same of one group' })

export const usage = z
  .object({
    from: time.describe('From when on; a whole hour or day in UTC'),
    to: time.describe('Until when, exclusive'),
    group_by: z.enum(usageGroupings).nullable().describe('As asked'),
    total: usageCounts.describe('All groups together; with group_by=tag everything, with a tag or without'),
    data: z
      .array(usageGroup)
      .describe('The groups: the days or hours in order, others by their number, most first'),
    groups_capped: z
      .literal(true)
      .optional()
      .describe('There are more groups than the thousand that are shown'),
    complete: z
      .boolean()
      .describe('False while so much waits to be counted that not all of it is in here; ask again later'),
  })
  .meta({ id: 'Usage', description: 'What ended within a time, and what it came to' })

const health = z.enum(['operational', 'degraded', 'down'])

/** How the service is. */
export const serviceStatus = z
  .object({
    status: health.describe('down where nothing can be asked for; degraded where a part is not operational'),
    components: z
      .object({
        api: health.describe('Whether requests are taken'),
        database: health.describe('Whether predictions can be stored'),
        queue: health.describe('Whether workers are woken at once; without it work goes on, later'),
        workers: health.describe('Whether predictions are run'),
        webhooks: health.describe('Whether webhooks are sent in time'),
      })
      .describe('Each part'),
    models: z
      .array(
        z.object({
          model: z.string().describe('Its namespace'),
          status: health.describe('Whether it is run'),
          reason: z.string().nullable().describe('Why it is not, in words; null where it is'),
        }),
      )
      .describe('The models that lists name; empty where nothing is known of them'),
  })
  .meta({ id: 'ServiceStatus', description: 'How the service and its models are' })

export type ActivityRow = z.infer<typeof activityRow>
export type UsageCounts = z.infer<typeof usageCounts>
export type UsageGroup = z.infer<typeof usageGroup>
export type UsageGrouping = (typeof usageGroupings)[number]
export type ServiceStatus = z.infer<typeof serviceStatus>
export type Health = z.infer<typeof health>
