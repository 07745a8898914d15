-- Calls for inference: one row each, written when it begins and completed when it ends.
create table requests (
  id uuid not null primary key,
  account_id uuid not null,
  request_id text not null, -- what the reply said in x-request-id
  key_id uuid, -- as at the call, like the name
  key_name text,
  surface text not null check (surface in ('chat', 'responses', 'embeddings', 'messages', 'run')),
  model text not null, -- as asked
  served_model text, -- the one that answered: another one where a fallback did
  host text,
  tries json, -- [{host, model, ms, fault}], where there was more than one
  stream boolean not null,
  status text not null check (status in ('running', 'succeeded', 'failed', 'timeout', 'cancelled')),
  http_status integer,
  error_id text,
  failure text, -- for a person
  input_tokens integer,
  output_tokens integer,
  estimated boolean not null default false, -- the tokens were counted here, as the host did not say
  first_byte_ms integer,
  duration_ms integer,
  started_at timestamptz not null,
  alive_at timestamptz, -- of one that lasts: when its process last said so
  ended_at timestamptz,
  check ((ended_at is not null) = (status <> 'running'))
) partition by range (id);
create index requests_account on requests (account_id, id);
-- Few at a time: what ends within a moment is written once, as a whole.
create index requests_running on requests (id) where status = 'running';

-- Answers that their callers asked to keep, with what was asked.
create table stored_answers (
  id uuid primary key,
  account_id uuid not null references accounts,
  surface text not null check (surface in ('chat', 'responses')),
  model text not null,
  previous_id uuid, -- the answer that this one goes on from
  request json not null,
  answer json not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null
);
create index stored_answers_expiry on stored_answers (expires_at);
