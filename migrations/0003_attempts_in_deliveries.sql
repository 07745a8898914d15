-- A backlog leaves dead rows behind by the thousand, all of them where claims and sweeps look; a fifth of it, which is
-- the default, is too late to begin.
alter table runs set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- A delivery's attempts in its own row, by number: {"1": {at, status_code, duration_ms, response, error}}. A result
-- changes that row anyway, and what is written twice is there once. The previous version writes delivery_attempts, where
-- older attempts are, too, until retention removes them: both are read, and a later release drops that table.
alter table deliveries add column attempts jsonb not null default '{}';
