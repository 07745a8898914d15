-- Accounts, predictions and all that happens to them.
--
-- Tables partitioned by id hold UUIDv7 keys, which sort by time: a look-up by id prunes to one partition and old
-- partitions go whole. packages/database/src/partitions.ts makes the partitions; no foreign key points at them.

create table accounts (
  id uuid primary key,
  name text not null check (name <> ''),
  created_at timestamptz not null default clock_timestamp(),
  suspended_at timestamptz
);
create unique index accounts_name on accounts (lower(name));

create table api_keys (
  id uuid primary key,
  account_id uuid not null references accounts,
  name text not null,
  prefix text not null, -- the first characters, shown in lists
  digest bytea not null unique, -- HMAC-SHA256 with the pepper; the key itself is never stored
  admin boolean not null default false,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  revoked_at timestamptz
);
create index api_keys_account on api_keys (account_id, id);

-- The truth. No index mentions a column that changes, so that updates stay HOT.
create table predictions (
  id uuid not null primary key,
  account_id uuid not null,
  model text not null, -- the slug, exactly as it was asked for
  model_type text not null,
  status text not null,
  attempt integer not null default 0 check (attempt >= 0),
  stream boolean not null default false,
  source text not null check (source in ('api', 'cli', 'web')),
  input json not null, -- defaults applied, secrets masked, large data URLs replaced by file markers
  sealed_input bytea, -- the input fields of `format: password`, sealed
  output json,
  error text,
  error_id text,
  webhook json, -- {url, events}: the caller's own spelling
  tags json not null default '{}',
  files json not null default '[]', -- [{id, name, type, size, role}] that markers in input and output stand for
  timeouts json not null, -- {start, run} seconds
  created_at timestamptz not null,
  updated_at timestamptz not null,
  started_at timestamptz,
  completed_at timestamptz,
  cancel_requested_at timestamptz,
  deleted_at timestamptz,
  expired_at timestamptz, -- when the bytes of its files and values went
  check (status in ('pending', 'starting', 'processing', 'succeeded', 'failed', 'cancelled')),
  check ((completed_at is not null) = (status in ('succeeded', 'failed', 'cancelled'))),
  check (started_at is not null or status not in ('processing', 'succeeded')),
  check (started_at is null or status not in ('pending', 'starting')),
  check (attempt > 0 or status not in ('starting', 'processing', 'succeeded')),
  check (output is null or status = 'succeeded'),
  check ((error is not null) = (status = 'failed')),
  check ((error_id is not null) = (status = 'failed')),
  check (updated_at >= created_at),
  check (started_at >= created_at),
  check (completed_at >= coalesce(started_at, created_at))
) partition by range (id);
create index predictions_account on predictions (account_id, id);
create index predictions_model on predictions (account_id, model, id);
create index predictions_deleted on predictions (id) where deleted_at is not null; -- what the purge looks for

create function refuse_backward_move() returns trigger language plpgsql as $$
begin
  if not (old.status = new.status or (old.status, new.status) in (
    ('pending', 'starting'), ('pending', 'failed'), ('pending', 'cancelled'),
    ('starting', 'processing'), ('starting', 'failed'), ('starting', 'cancelled'),
    ('processing', 'succeeded'), ('processing', 'failed'), ('processing', 'cancelled')
  )) then
    raise exception 'a prediction cannot go from % to %', old.status, new.status using errcode = 'check_violation';
  end if;
  if new.attempt < old.attempt then
    raise exception 'attempt cannot fall from % to %', old.attempt, new.attempt using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger predictions_only_forward before update on predictions
  for each row when (old.status is distinct from new.status or old.attempt is distinct from new.attempt)
  execute function refuse_backward_move();

-- One narrow row per unfinished prediction, gone when it ends. Sweeps and claims read only this.
create table runs (
  prediction_id uuid primary key,
  account_id uuid not null,
  model text not null,
  pool text not null,
  attempt integer not null default 0,
  crashes integer not null default 0, -- workers that died under it; hand-backs do not count
  run_at timestamptz not null, -- not before
  worker text, -- who holds it; null: free to claim
  lease_until timestamptz,
  event_seq integer not null default 1, -- the last seq given out in prediction_events
  appended bigint not null default 0, -- attempt * 2^32 + number of its last append: a repeat is known by it
  progress real,
  cancel_requested_at timestamptz,
  start_by timestamptz not null,
  run_by timestamptz
) with (fillfactor = 50);
create index runs_claim on runs (model, prediction_id);
create index runs_account on runs (account_id, prediction_id);

create table prediction_events (
  prediction_id uuid not null,
  seq integer not null,
  kind text not null check (kind in ('status', 'output', 'log', 'progress')),
  attempt integer not null,
  data text not null,
  created_at timestamptz not null,
  primary key (prediction_id, seq)
) partition by range (prediction_id);

-- Written once, at the end: what filtered lists read.
create table outcomes (
  account_id uuid not null,
  prediction_id uuid not null,
  status text not null,
  model text not null,
  primary key (prediction_id)
);
create index outcomes_status on outcomes (account_id, status, prediction_id);
create index outcomes_status_model on outcomes (account_id, model, status, prediction_id);

create table prediction_tags (
  account_id uuid not null,
  name text not null,
  value text not null,
  prediction_id uuid not null,
  primary key (account_id, name, value, prediction_id)
);
create index prediction_tags_prediction on prediction_tags (prediction_id);

create table idempotency_keys (
  account_id uuid not null,
  key text not null,
  fingerprint bytea not null,
  prediction_id uuid not null,
  status_code smallint not null,
  created_at timestamptz not null,
  primary key (account_id, key)
);
create index idempotency_keys_created on idempotency_keys (created_at);

create table files (
  id uuid primary key,
  account_id uuid not null,
  prediction_id uuid,
  purpose text not null,
  name text not null,
  content_type text not null,
  bytes bigint not null check (bytes >= 0),
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz
);
create index files_account on files (account_id, id);
create index files_prediction on files (prediction_id);
create index files_expires on files (expires_at);

create table webhook_endpoints (
  id uuid primary key,
  account_id uuid not null references accounts,
  url text not null,
  events text[] not null,
  format text not null check (format in ('envelope', 'prediction', 'thin')),
  description text not null default '',
  headers json not null default '{}',
  active boolean not null default true,
  disabled_reason text,
  failing_since timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create index webhook_endpoints_account on webhook_endpoints (account_id, id);

-- An account's default secret (endpoint_id null) and each endpoint's own, sealed. While one is being rotated, two are valid.
create table signing_secrets (
  id uuid primary key,
  account_id uuid not null references accounts,
  endpoint_id uuid references webhook_endpoints on delete cascade,
  sealed bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  retires_at timestamptz
);
create index signing_secrets_account on signing_secrets (account_id, endpoint_id);
create unique index signing_secrets_current on signing_secrets (account_id, endpoint_id) nulls not distinct where retires_at is null;

-- The exact bytes a delivery sends, once per event and body format.
create table webhook_bodies (
  id uuid not null primary key,
  body text not null
) partition by range (id);

create table deliveries (
  id uuid not null primary key, -- the webhook-id
  account_id uuid not null,
  prediction_id uuid not null,
  endpoint_id uuid, -- null: the prediction's own webhook
  url text not null,
  host text not null,
  event text not null,
  seq integer not null, -- the event's seq: the order within one prediction
  body_id uuid not null,
  state text not null default 'due' check (state in ('due', 'sending', 'delivered', 'exhausted', 'dropped')),
  attempt integer not null default 0,
  due_at timestamptz not null,
  lease_until timestamptz,
  created_at timestamptz not null,
  completed_at timestamptz,
  check ((completed_at is not null) = (state in ('delivered', 'exhausted', 'dropped')))
) partition by range (id);
create index deliveries_due on deliveries (due_at) where completed_at is null;
create index deliveries_prediction on deliveries (prediction_id, seq, id); -- with id: the claim bounds it, and one index must do

create table delivery_attempts (
  delivery_id uuid not null,
  attempt integer not null,
  at timestamptz not null,
  status_code integer,
  duration_ms integer not null,
  response text, -- the first 2 KB of the answer
  error text,
  primary key (delivery_id, attempt)
) partition by range (delivery_id);

-- Ids are UUIDv7: the smallest one of a moment, for partition bounds and time filters.
create function uuid_floor(moment timestamptz) returns uuid language sql immutable strict parallel safe as $$
  select (lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
