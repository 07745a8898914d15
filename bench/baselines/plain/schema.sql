create table predictions (
  id uuid primary key,
  model text not null,
  status text not null default 'pending',
  input jsonb not null,
  output jsonb,
  webhook text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  completed_at timestamptz
);
create index on predictions (created_at desc);
