-- Runs under way where only so many may be at a time, by what states it (a model, a host, an account, a key): a row for all
-- that one claim took there, instead of one in `places` for each run. What is not under way with that attempt any more, or has no worker, counts
-- no more, and goes with a later claim. `places` is for the version before, and empty without it: both count their own.
create table places_taken (
  name text not null,
  claim uuid not null default gen_random_uuid(), -- in no order, so that what comes takes the room of what went in the index
  ids uuid[] not null,
  attempts integer[] not null,
  primary key (name, claim)
);
