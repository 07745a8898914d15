import { asMicros } from './micro.ts'

/** Where `balance.low` is sent unless the operator says otherwise, in micros. */
export const usualWarning = asMicros(10)

/**
 * Notes the event `balance.low` for those of `moved` (account_id, balance, before) whose balance fell below `warning`: part
 * of the statement that moved it. Balances move one after the other, so each crossing is told once, and told again when it
 * has been above in between.
 */
export const tellLowBalances = (moved: string, warning: string): string => `
    insert into account_events (id, account_id, name, data)
    select gen_random_uuid(), account_id, 'balance.low', json_build_object('balance', balance, 'warning', ${warning}::bigint)
    from ${moved} where balance < ${warning}::bigint and before >= ${warning}::bigint`
