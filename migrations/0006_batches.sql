-- Requests of one file, run as predictions, with their answers in another.
create table batches (
  id uuid primary key,
  account_id uuid not null references accounts,
  endpoint text, -- what all lines aim at, where the request said so
  input_file_id uuid not null,
  completion_window text not null,
  metadata json not null default '{}',
  status text not null default 'validating' check (status in
    ('validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')),
  errors json, -- what is wrong with the file
  total integer not null default 0,
  completed integer not null default 0,
  failed integer not null default 0,
  read_lines integer not null default 0, -- of the file, that are taken
  read_bytes bigint not null default 0,
  output_file_id uuid,
  error_file_id uuid,
  idempotency_key text,
  fingerprint bytea,
  worker text, -- the api that works on it
  lease_until timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  in_progress_at timestamptz,
  cancelling_at timestamptz,
  late_at timestamptz, -- when its window was over and something of it was not done
  finalizing_at timestamptz,
  ended_at timestamptz,
  check ((ended_at is not null) = (status in ('failed', 'completed', 'expired', 'cancelled')))
);
create index batches_account on batches (account_id, id);
create index batches_unfinished on batches (id) where ended_at is null;
create index batches_ended on batches (ended_at) where ended_at is not null;
create unique index batches_idempotency on batches (account_id, idempotency_key) where idempotency_key is not null;

-- A line that is taken has an id for its prediction before there is one: whoever goes on after a crash uses the same.
create table batch_lines (
  batch_id uuid not null references batches on delete cascade,
  line integer not null,
  custom_id text not null,
  at bigint not null, -- where it is in the file
  bytes integer not null,
  prediction_id uuid not null,
  state text not null default 'taken' check (state in ('taken', 'running', 'completed', 'failed')),
  answer json, -- of a line that became no prediction: {status_code, body} or {code, message}
  primary key (batch_id, line)
);
create index batch_lines_open on batch_lines (batch_id, line) where state in ('taken', 'running');
