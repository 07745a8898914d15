-- What a run knows of the host that works for it, so that another worker goes on where one was lost.
alter table runs
  add column job json, -- what its host calls the work, {model, host, attempt, job}; null: nothing is known to be under way
  add column tries integer not null default 0, -- that found its host unavailable; a fallback begins at none
  add column rerun boolean not null default true, -- false: it may have had effects outside, so that only its job may be taken up
  add column auto_fallback boolean not null default true,
  add column asked text; -- the model that was asked for, once a fallback serves

alter table predictions add column served_by text; -- the fallback; null: the model that was asked for

-- What hosts report of their jobs, until the worker that holds the run has read it.
create table callbacks (
  id bigint generated always as identity primary key,
  prediction_id uuid not null,
  attempt integer not null, -- the one whose address it came to
  body text not null,
  created_at timestamptz not null default clock_timestamp()
);
create index callbacks_prediction on callbacks (prediction_id, id);
