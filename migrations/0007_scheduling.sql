-- Priorities, later starts, expiry, and what is known of how long runs take and who runs them.

-- What was asked for, and whether the model had to be started for it.
alter table predictions
  add column priority text not null default 'normal', -- high, normal or low
  add column run_at timestamptz, -- as it was asked for
  add column expires_in integer,
  add column cold_boot boolean; -- null: not begun, or its host does not tell

-- What waits from before this stands first in its line; what an api of the previous version adds is put at its end.
alter table runs
  add column priority smallint not null default 1 check (priority between 0 and 2), -- 0 high, 1 normal, 2 low
  add column turn timestamptz not null default '-infinity', -- its place in the line of its model and priority
  add column parked_until timestamptz, -- not in line before; null: in line
  add column expires_at timestamptz; -- not begun by then, it has expired
alter table runs alter column turn set default clock_timestamp();

-- None of these columns changes but parked_until, once, so that other updates stay HOT. runs_claim is what workers of the
-- previous version read; a later release drops it.
create index runs_line on runs (model, priority, turn, prediction_id) where parked_until is null;
create index runs_parked on runs (parked_until) where parked_until is not null;

-- The newest run times of each model, in seconds from claim to end.
create table run_times (
  model text primary key,
  seconds real[] not null,
  updated_at timestamptz not null
) with (fillfactor = 50);

-- The workers that are up, as they said themselves a few seconds ago.
create table workers (
  name text primary key,
  models text[] not null,
  seen_at timestamptz not null
) with (fillfactor = 50);
