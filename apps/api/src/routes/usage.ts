import { quantileOf, readUsage, sumOf, type UsageAsked, type UsageGroup } from '@millrace/activity/read-usage'
import type { UsageGroup as ShownGroup, UsageCounts, UsageGrouping } from '@millrace/contract/activity'
import { endpoints } from '@millrace/contract/endpoints'
import { sanitise } from '@millrace/database/sanitise'
import { ApiError } from '../api-error.ts'
import { badParameter } from '../bad-parameter.ts'
import type { Context } from '../context.ts'
import { keyOf, modelsOf, shownKey } from '../named-things.ts'
import { route } from '../route.ts'
import { usageRange } from '../usage-range.ts'
import { tagsOf } from './list-predictions.ts'

export const getUsage = route(endpoints.getUsage, async ({ context, caller, query, request }) => {
  const { group_by: by = null } = query
  const range = usageRange({ ...query, byHour: by === 'hour' })
  const value = oneTag(tagsOf(sanitise(request.query)))
  if (query.tag !== undefined && by !== 'tag')
    throw new ApiError('INVALID_PARAMETER_COMBINATION', 'tag is for group_by=tag; tag.NAME=value filters.')
  if (range.hourly && (by === 'tag' || value))
    throw new ApiError('INVALID_PARAMETER_COMBINATION', 'Tags are counted by the day: ask for whole days.')
  const asked: Omit<UsageAsked, 'by'> = {
    accountId: caller.accountId,
    ...range,
    models: modelsOf(context, query.model),
    keyId: keyOf(query.key),
    kind: query.type,
    tag: value,
  }
  const tag = value ?? (query.tag === undefined ? undefined : { name: query.tag })
  const [grouped, whole] = await Promise.all([
    readUsage(context.db, { ...asked, tag, by: by ?? 'all' }),
    by === 'tag' ? readUsage(context.db, { ...asked, by: 'all' }) : undefined,
  ])
  const groups = by === null ? [] : ordered(grouped.groups, by)
  const names = by === 'key' ? await namesOf(context, caller.accountId, groups) : new Map<string, string>()
  return {
    from: range.from.toISOString(),
    to: range.to.toISOString(),
    group_by: by,
    total: countsOf(sumOf((whole ?? grouped).groups)),
    data: groups
      .slice(0, mostGroups)
      .map((group): ShownGroup => ({ ...named(group, by, names), ...countsOf(group) })),
    ...(groups.length > mostGroups ? { groups_capped: true as const } : {}),
    complete: grouped.complete,
  }
})

const mostGroups = 1_000

function oneTag(tags: Record<string, string>): { name: string; value: string } | undefined {
  const [first, second] = Object.entries(tags)
  if (second) throw badParameter(`tag.${second[0]}`, 'is one tag too many: usage is counted by single tags')
  return first && { name: first[0], value: first[1] }
}

function ordered(groups: UsageGroup[], by: UsageGrouping): UsageGroup[] {
  const inTime = (a: UsageGroup, b: UsageGroup) => (a.group < b.group ? -1 : 1)
  if (by === 'day' || by === 'hour') return groups.sort(inTime)
  return groups.sort((a, b) => b.total - a.total || inTime(a, b))
}

function named(
  { group }: UsageGroup,
  by: UsageGrouping | null,
  names: Map<string, string>,
): Partial<ShownGroup> {
  switch (by) {
    case null:
      return {}
    case 'model':
      return { model: group }
    case 'key':
      return { key: group === '' ? null : shownKey(group, names.get(group) ?? null) }
    case 'type':
      return { type: group as NonNullable<ShownGroup['type']> }
    case 'day':
      return { day: group }
    case 'hour':
      return { hour: group }
    case 'tag': {
      const [name, value]: [string, string | null] = JSON.parse(group)
      return { tag: { name, value } }
    }
    default:
      return by satisfies never
  }
}

async function namesOf(
  { db }: Context,
  accountId: string,
  groups: UsageGroup[],
): Promise<Map<string, string>> {
  const ids = groups.flatMap(({ group }) => (group === '' ? [] : [group]))
  const { rows } = await db.pool.query<{ id: string; name: string }>(
    'select id, name from api_keys where id = any($1::uuid[]) and account_id = $2',
    [ids, accountId],
  )
  return new Map(rows.map(({ id, name }) => [id, name]))
}

function countsOf(group: UsageGroup): UsageCounts {
  const { total, succeeded, failed, cancelled } = group
  return {
    total,
    succeeded,
    failed,
    cancelled,
    error_rate: failed === 0 ? 0 : failed / (succeeded + failed),
    tokens: { input: group.input_tokens, output: group.output_tokens },
    seconds: group.ms / 1000,
    credits: group.credits / 1_000_000,
    duration: { p50: quantileOf(group, 0.5), p95: quantileOf(group, 0.95) },
  }
}
