import { isTerminal, type Status } from '@millrace/contract/statuses'
import { type RawBuilder, sql } from 'kysely'

/**
 * `from … as d` with the ids of all predictions that a filter finds. It is driven by the narrowest index that all of
 * them are in, newest or oldest first at will: ended ones by outcomes, unfinished ones by runs, tagged ones by tags.
 * What else the filter asks is looked up row by row: a join that reads more than the page needs would cost more, the
 * larger the tables are.
 */
export function candidates(filter: ListFilter): RawBuilder<unknown> {
  const { accountId, model, statuses, tags } = filter
  const account = sql`account_id = ${accountId}::uuid`
  const named = Object.entries(tags)
  const [firstTag, ...otherTags] = named
  const ended = endedOf(filter)

  if (statuses && !ended) {
    const states = sql.join(statuses.map(unfinished), sql` or `)
    const runs = sql`select prediction_id as id from runs r where ${account} ${andAsked(filter)} and (${states}) and ${notDeleted}`
    return joined(runs, named.map(tagged))
  }
  if (firstTag) {
    const [name, value] = firstTag
    const source = sql`select prediction_id as id from prediction_tags where ${account} and name = ${name} and value = ${value}`
    const row = ended ? endedAs(ended, model) : model === undefined ? undefined : ofModel(model)
    return joined(source, [...otherTags.map(tagged), ...(row ? [row] : [])])
  }
  if (ended) {
    const outcomes = sql`select prediction_id as id from outcomes where ${account} ${andModel(model)}`
    return joined(sql`${outcomes} and status in (${sql.join(ended)})`)
  }
  return joined(sql`select id from predictions where ${account} and deleted_at is null ${andModel(model)}`)

  function tagged([name, value]: [string, string]): RawBuilder<unknown> {
    return sql`select from prediction_tags where ${account} and name = ${name} and value = ${value} and prediction_id = d.id`
  }
}

/** `limit 1` keeps a look-up a look-up. */
function joined(source: RawBuilder<unknown>, lookUps: RawBuilder<unknown>[] = []): RawBuilder<unknown> {
  const also = lookUps.map(
    (lookUp, n) => sql`cross join lateral (${lookUp} limit 1) as ${sql.ref(`also${n}`)}`,
  )
  return sql`from (${source}) as d ${also.length > 0 ? sql.join(also, sql` `) : sql``}`
}

/**
 * One filter for each ending and each slug that is asked for: each is in the order of its index, all together are not.
 * A run is under its model's own slug, whichever was asked for, or an alias that was its slug before.
 */
export function onePerEnding(filter: ListFilter): ListFilter[] {
  const { model, aliases = [], statuses } = filter
  const ended = endedOf(filter)
  if (statuses && !ended) return [filter]
  const slugs = model === undefined ? [undefined] : [model, ...aliases]
  return slugs.flatMap(
    (slug) =>
      ended?.map((status) => ({ ...filter, model: slug, statuses: [status] })) ?? [
        { ...filter, model: slug },
      ],
  )
}

function endedAs(statuses: readonly Status[], model: string | undefined): RawBuilder<unknown> {
  return sql`select from outcomes where prediction_id = d.id and status in (${sql.join(statuses)}) ${andModel(model)}`
}

function ofModel(model: string): RawBuilder<unknown> {
  return sql`select from predictions where id = d.id and model = ${model}`
}

function andModel(model: string | undefined): RawBuilder<unknown> {
  return model === undefined ? sql`` : sql`and model = ${model}`
}

/**
 * A run that a fallback serves stands in the fallback's line; its prediction is of the model that was asked for. Either
 * may still be under a name that the model had before.
 */
function andAsked({ model, aliases = [] }: ListFilter): RawBuilder<unknown> {
  return model === undefined ? sql`` : sql`and coalesce(asked, model) in (${sql.join([model, ...aliases])})`
}

/** How a run tells the status of its prediction. */
function unfinished(status: Status): RawBuilder<unknown> {
  if (status === 'pending') return sql`attempt = 0`
  return status === 'starting' ? sql`attempt > 0 and run_by is null` : sql`run_by is not null`
}

/** A deleted prediction is asked to stop first, so only such runs are worth a look. */
const notDeleted = sql`(cancel_requested_at is null or
  (select deleted_at is null from predictions p where p.id = r.prediction_id))`

/** The wanted statuses, where they are terminal: those stand in `outcomes`. */
function endedOf({ statuses }: ListFilter): readonly Status[] | undefined {
  return statuses?.every(isTerminal) ? statuses : undefined
}

/** What a list shows. `to` is exclusive. */
export interface ListFilter {
  accountId: string
  /** A model's own slug. */
  model?: string | undefined
  /** The other slugs under which predictions of that model were asked for. */
  aliases?: readonly string[]
  /** Any of these. Either all terminal or none. */
  statuses?: readonly Status[] | undefined
  tags: Record<string, string>
  from?: Date | undefined
  to?: Date | undefined
}
