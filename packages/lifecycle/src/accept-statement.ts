import { budgetRooms, countedIn, countHolds, overdrafts } from '@millrace/ledger/budget-holds'
import { laneOf } from './caps.ts'

// A draft is paid for while the holds of its account up to it, in the order of ids, fit into what the account has left.
// The row of the balance is locked until the statement has committed, so two processes never spend the same credits; and
// each row is what it is once the lock is there, not what it was when the statement began. Of two drafts with one key the
// second holds nothing, and is never stored, whatever becomes of the first.
const funding = `, priced as materialized (
    select id, account_id, hold, key is null or row_number() over (partition by account_id, key order by id) = 1 as counts
    from incoming where hold > 0
  ), locked as materialized (
    select account_id, balance, held from balances
    where account_id in (select account_id from priced) order by account_id for update
  ), unfunded as materialized (
    select id, account_id, coalesce(balance - held, 0) as available, coalesce(balance, 0) < 0 as in_debt
    from (
      select id, account_id, sum(case when counts then hold else 0 end) over (partition by account_id order by id) as upto
      from priced
    ) summed left join locked using (account_id)
    where upto > coalesce(balance - held, 0)
  )`

const funded = 'id not in (select id from unfunded union all select id from priced where not counts)'

const holding = `, spent as materialized (
    select account_id, sum(hold)::bigint as hold from fresh join locked using (account_id) where hold > 0 group by account_id
  ), held as (
    update balances b set held = b.held + spent.hold from spent where b.account_id = spent.account_id
  )`

const refused = `
  union all
  select id, (available - coalesce(hold, 0))::bigint, in_debt, null, false from unfunded left join spent using (account_id)`

/** SQL: the endpoints of some accounts that are told of creations. */
export const toldEndpoints = (accounts: string): string =>
  `from webhook_endpoints where account_id = any(${accounts}::uuid[]) and active and 'prediction.created' = any(events)`

const statement = ({
  unready = '',
  funding,
  funded,
  budgets,
  holding,
  afterwards = '',
  refused,
}: Parts): string => `
  with given as materialized (
    select * from json_to_recordset($1) as i(
      id uuid, account_id uuid, key_id uuid, request_id text, model text, model_type text, namespace text, version text, pool text, stream boolean, source text, input text,
      sealed_input bytea, webhook text, tags text, files text, timeouts text, retention text, start_seconds integer,
      priority text, lane smallint, run_at timestamptz, expires_in integer, auto_fallback boolean,
      hold bigint, price text, created_at timestamptz, key text, fingerprint bytea, status_code smallint)
  ), unready as materialized (
    select account_id ${toldEndpoints('$4')}${unready}
  ), incoming as materialized (
    select * from given where account_id not in (select account_id from unready)
  )${funding}, keys as (
    insert into idempotency_keys as k (account_id, key, fingerprint, prediction_id, status_code, created_at)
    select distinct on (account_id, key) account_id, key, fingerprint, id, status_code, created_at
    from incoming where key is not null and ${funded}
    order by account_id, key, id
    on conflict (account_id, key) do update
      set fingerprint = excluded.fingerprint, prediction_id = excluded.prediction_id,
          status_code = excluded.status_code, created_at = excluded.created_at
      where k.created_at < clock_timestamp() - interval '24 hours' or k.prediction_id = excluded.prediction_id
    returning prediction_id
  ), accepted as materialized (
    select * from incoming where ${funded} and (key is null or id in (select prediction_id from keys))
  ), stored as (
    insert into predictions (id, account_id, key_id, request_id, model, model_type, version, status, stream, source, input, sealed_input, webhook,
                             tags, files, timeouts, retention, priority, run_at, expires_in, held, created_at, updated_at)
    select id, account_id, key_id, request_id, model, model_type, version, 'pending', stream, source, input::json, sealed_input, webhook::json,
           tags::json, files::json, timeouts::json, retention::json, priority, run_at, expires_in, hold, created_at, created_at
    from accepted
    on conflict (id) do nothing
    returning id
  ), fresh as materialized (
    select a.* from accepted a join stored using (id)
  ), started as (
    -- what may not begin yet is parked; its time counts from when it may
    insert into runs (prediction_id, account_id, key_id, lane, model, pool, priority, turn, run_at, parked_until, start_by, expires_at, auto_fallback, hold, price, budgets)
    select id, account_id, key_id, ${laneOf('key_id')}, namespace, pool, lane, t.moment, t.moment, case when t.moment = run_at then t.moment end,
           t.moment + make_interval(secs => least(start_seconds, expires_in)), t.moment + make_interval(secs => expires_in), auto_fallback, hold, price::json, ${budgets}
    from fresh, lateral (select greatest(clock_timestamp(), run_at) as moment) t
    returning 1
  ), expiring as (
    insert into expiries (prediction_id, due_at)
    select id, created_at + least((retention::json ->> 'files_days')::float8, (retention::json ->> 'data_days')::float8)
                            * interval '1 day'
    from fresh where retention is not null
  ), tagged as (
    insert into prediction_tags (account_id, name, value, prediction_id)
    select account_id, t.key, t.value, id from fresh, json_each_text(tags::json) t
    returning 1
  ), bodies as (
    insert into webhook_bodies (id, body)
    select b.id, b.body from json_to_recordset($2) as b(id uuid, body text)
    where b.id in (select d.body_id from json_to_recordset($3) as d(body_id uuid, prediction_id uuid)
                   join fresh on fresh.id = d.prediction_id)
  ), owed as (
    insert into deliveries (id, account_id, prediction_id, endpoint_id, url, host, event, seq, body_id, due_at, created_at)
    select d.id, d.account_id, d.prediction_id, d.endpoint_id, d.url, d.host, d.event, d.seq, d.body_id, clock_timestamp(), d.created_at
    from json_to_recordset($3) as d(id uuid, account_id uuid, prediction_id uuid, endpoint_id uuid, url text, host text,
                                    event text, seq integer, body_id uuid, created_at timestamptz)
    join fresh on fresh.id = d.prediction_id
    returning 1
  )${holding}
  select id, null::bigint as available, false as in_debt, null::uuid as budget_id, false as unready from accepted${afterwards}
  union all
  select id, null, false, null, true from given where account_id in (select account_id from unready)${refused}`

const free = statement({ funding: '', funded: 'true', budgets: 'null', holding: '', refused: '' })

/** Accepts drafts none of which holds credits: no balance is read. */
export const acceptFree = { name: 'accept', text: free }

/** The same, once it is known what their accounts are to be told. */
export const acceptTold = { name: 'accept-told', text: free }

/**
 * Accepts drafts some of which hold credits, of accounts that have enough for all of theirs by the look of it: their
 * balances are locked last, for what a commit takes, however busy one account is. Where that look was too good, since
 * somebody else held credits meanwhile, it fails with `tooLittle` and has stored nothing.
 */
export const acceptPaid = {
  name: 'accept-paid',
  text: statement({
    unready: `
    union all
    select account_id from budgets where account_id = any($4::uuid[])
    union all
    select account_id from (select account_id, sum(hold) as hold from given group by account_id) wanted
    left join balances using (account_id) where hold > 0 and hold > coalesce(balance - held, 0)`,
    funding: '',
    funded: 'true',
    budgets: 'null',
    // Once all else is written: nobody waits for a balance while that is.
    holding: `, spent as materialized (
    select account_id, sum(hold)::bigint as hold from fresh
    where hold > 0 and (select count(*) from started) + (select count(*) from tagged) + (select count(*) from owed) >= 0
    group by account_id order by account_id
  ), held as materialized (
    select hold_credits(account_id, hold) from spent
  )`,
    afterwards: ' where (select count(*) from held) >= 0',
    refused: '',
  }),
}

/** See migrations/0021_moving_balances.sql. */
export const tooLittle = 'MR402'

/** The same, of accounts that may have too little. */
export const acceptScarce = {
  name: 'accept-scarce',
  text: statement({ funding, funded, budgets: 'null', holding, refused }),
}

/** Accepts drafts some of which count in budgets. */
export const acceptBudgeted = {
  name: 'accept-budgeted',
  text: statement({
    funding: `${funding}, ${budgetRooms('$5', 'locked')}`,
    funded: `${funded} and id not in (select id from overdrawn)`,
    budgets: countedIn('fresh.id'),
    holding: `${holding}, ${countHolds}`,
    refused: `${refused}
  union all
  select id, room, false, budget_id, false from (${overdrafts}) o where id not in (select id from unfunded)`,
  }),
}

interface Parts {
  /** Which accounts must be looked up besides those that subscribe. */
  unready?: string
  funding: string
  funded: string
  /** Of the run: what its hold counts in. */
  budgets: string
  holding: string
  /** Makes sure of what is held before anything is answered. */
  afterwards?: string
  refused: string
}
