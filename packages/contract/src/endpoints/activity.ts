import { activityList, activityQuery, serviceStatus, usage, usageQuery } from '../activity.ts'
import type { EndpointDefinition } from '../endpoint.ts'

/** What was asked, what it came to, and how the service is. */
export const activityEndpoints = {
  listActivity: {
    method: 'get',
    path: '/v1/activity',
    tag: 'Activity',
    summary: 'List predictions and calls, newest first',
    description:
      'Everything that was asked for and taken on, in one list, what was deleted included. Filtered by time, `model`, `key`, `status`, `type`, `request_id`, and by tags with `tag.NAME=value`. A page may have fewer rows than it could where little fits: go on as long as there is a `next_cursor`. All rows at once as NDJSON or CSV, by `format` or `Accept`.',
    scope: 'usage:read',
    query: activityQuery,
    errors: [
      'INVALID_PARAMETER',
      'INVALID_DATE_FORMAT',
      'INVALID_DATE_RANGE',
      'INVALID_PARAMETER_COMBINATION',
    ],
    replies: { 200: { description: 'A page; or a row a line', schema: activityList, rows: true } },
  },
  getUsage: {
    method: 'get',
    path: '/v1/usage',
    tag: 'Activity',
    summary: 'What was used within a time',
    description:
      'Numbers, tokens, seconds, credits and durations of what ended within a time, by groups. What ended a second ago is in it. By the day for ever, by the hour for 92 days; a time that is not of whole days may be 31 days long, and tags are counted by the day.',
    scope: 'usage:read',
    query: usageQuery,
    errors: [
      'INVALID_PARAMETER',
      'INVALID_DATE_FORMAT',
      'INVALID_DATE_RANGE',
      'INVALID_PARAMETER_COMBINATION',
    ],
    replies: { 200: { description: 'The usage', schema: usage } },
  },
  getStatus: {
    method: 'get',
    path: '/v1/status',
    tag: 'Service',
    summary: 'How the service and its models are',
    description:
      'For a page that shows it: needs no key, is a few seconds old at most, and is answered with 200 whatever it says.',
    open: true,
    errors: [],
    replies: { 200: { description: 'How it is', schema: serviceStatus } },
  },
} as const satisfies Record<string, EndpointDefinition>
