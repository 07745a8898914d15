-- A delivery's attempts in its own row, by number: {"1": {at, status_code, duration_ms, response, error}}. A result
-- changes that row anyway, and what is written twice is there once. The previous version writes delivery_attempts, where
-- older attempts are, too, until retention removes them: both are read, and a later release drops that table.
alter table deliveries add column attempts jsonb not null default '{}';
