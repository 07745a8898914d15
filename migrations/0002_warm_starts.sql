-- A model that is warm begins in the same move in which its run is claimed.
create or replace function refuse_backward_move() returns trigger language plpgsql as $$
begin
  if not (old.status = new.status or (old.status, new.status) in (
    ('pending', 'starting'), ('pending', 'processing'), ('pending', 'failed'), ('pending', 'cancelled'),
    ('starting', 'processing'), ('starting', 'failed'), ('starting', 'cancelled'),
    ('processing', 'succeeded'), ('processing', 'failed'), ('processing', 'cancelled')
  )) then
    raise exception 'a prediction cannot go from % to %', old.status, new.status using errcode = 'check_violation';
  end if;
  if new.attempt < old.attempt then
    raise exception 'attempt cannot fall from % to %', old.attempt, new.attempt using errcode = 'check_violation';
  end if;
  return new;
end $$;
