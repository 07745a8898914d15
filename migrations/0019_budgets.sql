-- What an account lets itself spend in a time: with all that it asks for, with one key, or under one tag. Money is in
-- millionths of a credit. `held` and `spent` count what was asked for in the period that began at `period_start`; a later
-- period begins when the row is next counted in, so nothing has to be awake at midnight. Who counts in it has locked the
-- row of the account's balance. The row changes with every batch that is priced: room in its page keeps it there.
create table budgets (
  id uuid primary key,
  account_id uuid not null references accounts,
  name text not null default '',
  scope text not null check (scope in ('account', 'key', 'tag')),
  key_ids uuid[], -- the key, and those that it was rotated to: the newest is the last
  tag_name text,
  tag_value text,
  period text not null check (period in ('day', 'week', 'month', 'total')),
  hard_cap bigint check (hard_cap >= 0), -- null: nothing is refused
  thresholds json not null default '[]', -- packages/contract/src/budget.ts
  credit_limit boolean not null default false, -- it is the credit limit of its key
  period_start timestamptz not null,
  held bigint not null default 0 check (held >= 0),
  spent bigint not null default 0 check (spent >= 0),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  check ((scope = 'key') = (key_ids is not null)),
  check ((scope = 'tag') = (tag_name is not null) and (scope = 'tag') = (tag_value is not null)),
  check (scope = 'key' or not credit_limit)
) with (fillfactor = 20);
create index budgets_account on budgets (account_id, id);

-- The budgets that a hold counts in, as [{id, since}]: `since` is the beginning of the period.
alter table runs add column budgets json;
alter table call_holds add column budgets json;

-- When the period of a moment began; what has no end began with time.
create function budget_period_start(period text, moment timestamptz) returns timestamptz language sql stable parallel safe as $$
  select case when period = 'total' then to_timestamp(0) else date_trunc(period, moment, 'UTC') end
$$;

-- Those of a budget's thresholds that are reached when what was spent rises, lowest first. What was spent never falls
-- within a period, so each is reached once in it. A percentage is rounded up, since it is reached by no less.
create function thresholds_reached(thresholds json, hard_cap bigint, spent_before bigint, spent_after bigint) returns setof json
language sql immutable parallel safe as $$
  select threshold from (
    select t as threshold, coalesce(round((t ->> 'credits')::numeric * 1000000), ceil(hard_cap::numeric * (t ->> 'percent')::integer / 100)) as micros
    from json_array_elements(thresholds) t
  ) stated
  where spent_before < micros and micros <= spent_after order by micros
$$;

-- What endpoints are to be told of their accounts, written with what it tells of; a dispatcher makes deliveries of it.
-- Nearly always empty.
create table account_events (
  id uuid primary key,
  account_id uuid not null,
  name text not null,
  data json not null,
  created_at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
