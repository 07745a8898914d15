-- Hosts that failed lately. One that serves has no row, so that a healthy run writes nothing.
create table hosts (
  name text primary key,
  failures integer not null, -- in a row
  failed_at timestamptz not null,
  open_until timestamptz, -- until then nobody aims at it; null: it has not failed often enough
  probed_until timestamptz, -- one run is under way there to find out
  reason text not null
);

-- Runs under way where only so many may be at a time in all workers together, by what states it (a model, a host).
-- A row whose run has another attempt, or no worker, counts no more and goes with the next claim.
create table places (
  name text not null,
  prediction_id uuid not null,
  attempt integer not null,
  primary key (name, prediction_id)
);
