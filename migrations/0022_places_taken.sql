-- Runs under way where only so many may be at a time, by what states it (a model, a host, an account, a key): a row for all
-- that one claim took there. What is over counts no more where that matters, and goes with a later claim.
create table places_taken (
  name text not null,
  claim uuid not null default gen_random_uuid(), -- in no order, so that what comes takes the room of what went in the index
  ids uuid[] not null,
  attempts integer[] not null,
  primary key (name, claim)
);

-- Until now it was a row for each run, in `places`, which nobody of this version reads. It may go with a later one.
insert into places_taken (name, ids, attempts)
select name, array_agg(prediction_id), array_agg(attempt) from places group by name;
