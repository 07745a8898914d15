-- What was done to accounts, plans and keys, by whom. Nothing here is ever changed or deleted, and no row holds a secret.
create table audit_log (
  id uuid primary key,
  created_at timestamptz not null default clock_timestamp(),
  actor text not null check (actor in ('key', 'cli', 'setup')), -- a key, the command line, or the start of the service
  key_id uuid, -- of the key that did it, and what it was called then
  key_name text,
  actor_account_id uuid, -- whose key that is
  ip text,
  request_id text,
  act text not null, -- such as 'key.create'
  target text not null, -- what it was done to: a public id, or the name of a plan
  account_id uuid, -- whose that is; null for what is everybody's
  before json,
  after json,
  check ((actor = 'key') = (key_id is not null))
);
create index audit_log_account on audit_log (account_id, id);
create trigger audit_log_only_append before update or delete on audit_log
  for each row execute function refuse_rewriting();

-- Which key asked for it: its lines may use the models that this key may. Null: from before keys said so.
alter table batches add column key_id uuid;
