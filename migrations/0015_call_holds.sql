-- What is set aside for calls for inference while they are under way. A row lives no longer than its call: it goes with
-- the charge, or with the process that served it. Small and always changing.
create table call_holds (
  id uuid primary key, -- of the call: its row in `requests`
  account_id uuid not null,
  key_id uuid,
  amount bigint not null check (amount > 0), -- millionths of a credit, in `held` of the account's balance
  alive_at timestamptz not null default clock_timestamp() -- when its process last said that it is at it
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

alter table requests add column credits bigint not null default 0; -- what the call was charged, in millionths
