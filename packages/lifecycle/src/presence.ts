/**
 * What a sweep knows of when the database was there, in seconds since 1970 by the database's own clock. While it was
 * away nobody could renew, begin or save, so nobody may be judged by what was not done.
 */
export interface Presence {
  /** When the database last told its time. */
  asked: number
  /** It has been there without a break since then, */
  since: number
  /** after it had been away for so many seconds. */
  missed: number
}

/** For who knows that the database was never away. */
export const alwaysThere: Presence = {
  asked: Number.POSITIVE_INFINITY,
  since: Number.NEGATIVE_INFINITY,
  missed: 0,
}

/**
 * SQL: whether a judgement may be passed now: the database has been there for a whole lease, and the statement was not
 * itself held up, with everybody else's, for longer than renewals can wait. Each is the name of a parameter.
 */
export const isPresent = ({ lease, since, asked }: Record<'lease' | 'since' | 'asked', string>): string =>
  `clock_timestamp() > to_timestamp(${since}::float8) + make_interval(secs => ${lease}::float8)
   and clock_timestamp() < to_timestamp(${asked}::float8) + make_interval(secs => ${lease}::float8 / 3)`
