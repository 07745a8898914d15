-- Turns go round the accounts, so each account has a line of its own, and so has each of its keys that may only have so
-- many runs under way: what such a key must wait with is in nobody's way.

-- The key, where it has such a limit; else nobody. Set once.
alter table runs add column lane uuid not null default '00000000-0000-0000-0000-000000000000';

-- None of these columns changes but parked_until, once, so that other updates stay HOT. runs_claim is still what workers
-- of release 0.1 read; a later release drops it.
drop index runs_line;
create index runs_line on runs (model, priority, account_id, lane, turn, prediction_id) where parked_until is null;
