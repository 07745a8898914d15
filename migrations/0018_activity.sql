-- What was asked and what came of it, in one list; and what it comes to by the hour and the day.

-- What the reply to a create said in x-request-id; null for the lines of batches.
alter table predictions add column request_id text;
-- What a call cost, in millionths of a credit.
alter table requests add column if not exists credits bigint not null default 0;

-- By which filters look. None of these columns changes while what it belongs to is under way, but the status of a call,
-- by which there is an index already. Ids of requests that are ours tell their time, so that only others need an index.
create index predictions_key on predictions (account_id, key_id, id) where key_id is not null;
create index predictions_request on predictions (account_id, request_id, id) where request_id not like 'req\_%';
create index requests_key on requests (account_id, key_id, id);
create index requests_model on requests (account_id, left(model, 256), id);
create index requests_status on requests (account_id, status, id) where status <> 'running';
create index requests_request on requests (account_id, request_id, id) where request_id not like 'req\_%';

-- Everything that ends has a number, in the order of this sequence, by which it is counted once and only once. Who takes
-- a number has a transaction id before: so whoever waits for all older transactions has seen all lower numbers.
create sequence usage_seq;
create function next_usage_seq() returns bigint language sql volatile as $$
  select case when pg_current_xact_id() is not null then nextval('usage_seq') end
$$;
alter table outcomes add column seq bigint; -- null: it ended before there were numbers
alter table outcomes alter column seq set default next_usage_seq();
create index outcomes_seq on outcomes (seq) where seq is not null;
alter table requests add column seq bigint; -- null: as above, or it runs
create index requests_seq on requests (seq) where seq is not null;
-- Of a call that was taken for lost and then ended after all: the number under which it was counted as failed.
alter table requests add column lost_seq bigint;
create index requests_lost on requests (lost_seq) where lost_seq is not null;

-- What the activity shows of predictions that were deleted, as they ended.
create table removed_predictions (
  id uuid primary key,
  account_id uuid not null,
  key_id uuid,
  request_id text,
  model text not null,
  served_by text,
  status text not null,
  error_id text,
  source text not null,
  tags json not null default '{}',
  charged bigint not null default 0,
  input_tokens integer,
  output_tokens integer,
  created_at timestamptz not null,
  started_at timestamptz,
  completed_at timestamptz,
  seq bigint -- null: it has not ended, or did before there were numbers
);
create index removed_predictions_account on removed_predictions (account_id, id);
create index removed_predictions_seq on removed_predictions (seq) where seq is not null;

-- What ended within each hour and each day (UTC), and within each day under each tag. Durations are counted in buckets
-- whose bounds lie a tenth apart.
create table usage_totals (
  account_id uuid not null,
  span text not null check (span in ('hour', 'day', 'tag')),
  at timestamptz not null, -- when that hour or day began
  tag_name text,
  tag_value text, -- null under a tag: the values beyond the first thousand of a day
  kind text not null,
  model text not null,
  key_id uuid,
  total bigint not null,
  succeeded bigint not null,
  failed bigint not null,
  cancelled bigint not null,
  ms bigint not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  credits bigint not null, -- millionths
  buckets smallint[] not null,
  counts bigint[] not null
) with (fillfactor = 70);
create unique index usage_totals_rows on usage_totals (account_id, span, at, tag_name, tag_value, kind, model, key_id) nulls not distinct;
create index usage_totals_hours on usage_totals (at) where span = 'hour'; -- which go before the days

-- How far that has come: every number up to `rolled`, and of what ended before there were numbers everything up to an id.
create table usage_state (
  alone boolean primary key default true check (alone),
  rolled bigint not null default 0,
  filled_predictions uuid default '00000000-0000-0000-0000-000000000000', -- null: all
  filled_requests uuid default '00000000-0000-0000-0000-000000000000'
);
insert into usage_state default values;

create function duration_bucket(ms double precision) returns smallint language sql immutable strict parallel safe as $$
  select least(300, greatest(0, ceil(ln(greatest(ms, 1)) / ln(1.1::double precision))))::smallint
$$;

-- The tokens of a prediction that was answered by inference, as its output tells them.
create function tokens_in(tags json, output json) returns integer language sql immutable parallel safe as $$
  select case when tags ->> 'millrace:api' is not null then
    (select said::integer from coalesce(output -> 'usage' ->> 'input_tokens', output -> 'usage' ->> 'prompt_tokens') as said
     where said ~ '^[0-9]{1,9}$') end
$$;
create function tokens_out(tags json, output json) returns integer language sql immutable parallel safe as $$
  select case when tags ->> 'millrace:api' is not null then
    (select said::integer from coalesce(output -> 'usage' ->> 'output_tokens', output -> 'usage' ->> 'completion_tokens') as said
     where said ~ '^[0-9]{1,9}$') end
$$;
