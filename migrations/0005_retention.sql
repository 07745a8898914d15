-- For how many days files and values are kept, where that is shorter than the service's own time: what an account was
-- set to, and the shortest of request, model and account as it was when a prediction was made. Fractions count.
alter table accounts
  add column retention_files_days double precision check (retention_files_days > 0),
  add column retention_data_days double precision check (retention_data_days > 0);
alter table predictions add column retention json; -- {files_days, data_days}; null: the service's own

-- The predictions that have one, until it was carried out. An index on predictions would cost every update of every one.
create table expiries (
  prediction_id uuid primary key,
  due_at timestamptz not null -- when to look at it again; nothing of it is over before
);
create index expiries_due on expiries (due_at);
