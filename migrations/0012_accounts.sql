-- What accounts may do and have: plans, what each key may do, money.

-- `settings` is what packages/contract/src/plan.ts says. The operator changes these as data.
create table plans (
  name text primary key check (name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
  settings json not null default '{}',
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
insert into plans (name, settings) values
  ('unlimited', '{}'),
  ('free', '{"limits": {"requests": 10, "running": 2}}'),
  ('starter', '{"limits": {"requests": 60, "running": 10}}'),
  ('pro', '{}');

alter table accounts
  add column plan text not null default 'unlimited' references plans,
  add column weight real not null default 1 check (weight > 0 and weight <= 1000), -- its share of the turns of a model
  add column over_limit text check (over_limit in ('queue', 'refuse')); -- null: as its plan says

-- `admin` says the same as the scope of that name, for processes of the version before.
alter table api_keys
  add column scopes text[] not null default '{predictions:read,predictions:write,inference:write,models:read,files:read,files:write,webhooks:read,webhooks:write,usage:read,keys:read}',
  add column models json, -- {allow, deny} of globs; null: as its account's plan
  add column ip_allow text[], -- addresses and CIDRs; null: from anywhere
  add column limits json, -- packages/contract/src/plan.ts; null: those of its account alone
  add column last_used_at timestamptz,
  add column rotated_from uuid; -- the key that this one replaces
update api_keys set scopes = scopes || '{keys:write,admin}' where admin;

-- Who asked for it. Money is in millionths of a credit.
alter table predictions
  add column key_id uuid,
  add column held bigint not null default 0 check (held >= 0), -- what was set aside for it when it was accepted
  add column charged bigint not null default 0 check (charged >= 0 and charged <= held); -- what of that it cost in the end
alter table runs
  add column key_id uuid,
  add column hold bigint not null default 0, -- set aside; it goes with the run
  add column price json; -- what it costs, as it was when it was accepted

-- One row for each account that ever had money; none means nothing. Its entries sum up to `balance`; `held` is the sum of
-- what is set aside for what is under way. The row changes with every batch: room in its page keeps it there.
create table balances (
  account_id uuid primary key references accounts,
  balance bigint not null default 0,
  held bigint not null default 0 check (held >= 0)
) with (fillfactor = 10);

-- Money moves from one book to another, each time by one row: an account's own book is `account`, the others are the
-- house's. Nothing here is ever changed or deleted.
create table ledger_entries (
  id uuid primary key,
  account_id uuid not null references accounts,
  kind text not null check (kind in ('topup', 'charge', 'refund', 'debit')),
  debit text not null check (debit in ('account', 'revenue', 'funding')), -- the book that the money left
  credit text not null check (credit in ('account', 'revenue', 'funding')), -- the book that it went to
  amount bigint not null check (amount > 0),
  prediction_id uuid,
  call_id uuid, -- of a call for inference: its row in `requests`
  key_id uuid,
  model text,
  reason text,
  idempotency_key text,
  created_at timestamptz not null default clock_timestamp(),
  check ((debit = 'account') <> (credit = 'account'))
);
create index ledger_entries_account on ledger_entries (account_id, id);
-- Charged at most once, whatever the code does.
create unique index ledger_entries_prediction on ledger_entries (prediction_id) where kind = 'charge' and prediction_id is not null;
create unique index ledger_entries_call on ledger_entries (call_id) where kind = 'charge' and call_id is not null;
create unique index ledger_entries_key on ledger_entries (account_id, idempotency_key) where idempotency_key is not null;

create function refuse_rewriting() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'check_violation';
end $$;
create trigger ledger_entries_only_append before update or delete on ledger_entries
  for each row execute function refuse_rewriting();

-- Who was there before there was money goes on as before: with ample credits, a million each.
insert into ledger_entries (id, account_id, kind, debit, credit, amount, reason)
  select (substr(moment, 1, 8) || '-' || substr(moment, 9) || '-7' || substr(gen_random_uuid()::text, 16))::uuid, id, 'topup', 'funding', 'account', 1000000000000, 'Accounts from before there were credits'
  from accounts, lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') as moment;
insert into balances (account_id, balance) select id, 1000000000000 from accounts;
