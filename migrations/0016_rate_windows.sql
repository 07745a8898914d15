-- What was counted in the windows of rate limits, where there is no Redis. Worth nothing after its window, so it is not
-- logged: a server that crashed counts anew. A row changes with every batch of requests: room in its page keeps it there.
create unlogged table rate_windows (
  name text primary key,
  starts bigint[] not null default '{}', -- the slices of its time in which something was counted, oldest first
  counts bigint[] not null default '{}', -- what was counted in each
  until timestamptz not null default clock_timestamp() + interval '2 minutes' -- nothing in it counts after that
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Counts asks in windows, each as a whole or not at all, in their order. Each window is (name, milliseconds of a slice,
-- slices), and each entry what an ask counts in one of them: (ask, window, cost, limit, slice). Without a limit it is
-- counted whatever there is, and with a slice it is counted there: so what was counted is corrected later.
-- Answers for each entry whether its ask was counted, what its window holds then, and in how many milliseconds the first
-- of that leaves it and its cost would fit; and the slice of the moment.
create function count_rates(
  names text[], slice_ms bigint[], slices bigint[],
  asks integer[], windows integer[], costs bigint[], limits bigint[], at_slices bigint[]
) returns table (counted boolean, used bigint, leaves bigint, fits bigint, slice bigint)
language plpgsql as $$
declare
  now_ms bigint;
  current bigint[] := '{}';
  held bigint[] := '{}';
  added_windows integer[] := '{}';
  added_slices bigint[] := '{}';
  added_costs bigint[] := '{}';
  counted_asks boolean[] := '{}';
  total bigint;
  entry integer := 1;
  last integer;
  fitting boolean;
  w integer;
begin
  loop
    insert into rate_windows (name) select n from unnest(names) n order by n on conflict do nothing;
    perform from rate_windows r where r.name = any(names) order by r.name for update;
    get diagnostics last = row_count;
    exit when last = cardinality(names); -- else one was swept away in between
  end loop;
  -- After the locks: whoever counted before has an earlier time.
  now_ms := floor(extract(epoch from clock_timestamp()) * 1000);
  for w in 1 .. cardinality(names) loop
    current[w] := now_ms / slice_ms[w];
    select coalesce(sum(u.count), 0) into total
      from rate_windows r, unnest(r.starts, r.counts) as u(start, count)
      where r.name = names[w] and u.start >= current[w] - slices[w];
    held[w] := total;
  end loop;

  while entry <= cardinality(asks) loop
    last := entry;
    fitting := true;
    while last <= cardinality(asks) and asks[last] = asks[entry] loop
      if limits[last] is not null and held[windows[last]] + costs[last] > limits[last] then fitting := false; end if;
      last := last + 1;
    end loop;
    while entry < last loop
      w := windows[entry];
      counted_asks[entry] := fitting;
      -- What has left its window is not corrected any more.
      if fitting and costs[entry] <> 0 and coalesce(at_slices[entry], current[w]) >= current[w] - slices[w] then
        held[w] := held[w] + costs[entry];
        added_windows := added_windows || w;
        added_slices := added_slices || coalesce(at_slices[entry], current[w]);
        added_costs := added_costs || costs[entry];
      end if;
      entry := entry + 1;
    end loop;
  end loop;

  update rate_windows r
  set starts = merged.starts, counts = merged.counts,
      until = clock_timestamp() + make_interval(secs => slice_ms[merged.w] * (slices[merged.w] + 2) / 1000.0)
  from (
    select s.w, coalesce(array_agg(s.start order by s.start) filter (where s.count <> 0), '{}') as starts,
           coalesce(array_agg(s.count order by s.start) filter (where s.count <> 0), '{}') as counts
    from (
      select parts.w, parts.start, sum(parts.count)::bigint as count
      from (
        select n.w::integer, u.start, u.count
        from unnest(names) with ordinality as n(name, w)
        join rate_windows k on k.name = n.name, unnest(k.starts, k.counts) as u(start, count)
        where u.start >= current[n.w] - slices[n.w] and n.w = any(added_windows)
        union all
        select * from unnest(added_windows, added_slices, added_costs)
      ) parts(w, start, count)
      group by parts.w, parts.start
    ) s
    group by s.w
  ) merged
  where r.name = names[merged.w];

  return query
    select counted_asks[e.n], held[e.w],
      coalesce((
        select min(u.start) + slices[e.w] + 1
        from rate_windows r, unnest(r.starts, r.counts) as u(start, count)
        where r.name = names[e.w] and u.start >= current[e.w] - slices[e.w]
      ) * slice_ms[e.w] - now_ms, 0),
      case when e.most is null or held[e.w] + e.cost <= e.most then 0 else (coalesce((
        select min(filled.start) from (
          select u.start, sum(u.count) over (order by u.start) as freed
          from rate_windows r, unnest(r.starts, r.counts) as u(start, count)
          where r.name = names[e.w] and u.start >= current[e.w] - slices[e.w]
        ) filled where held[e.w] - filled.freed + e.cost <= e.most
      ), current[e.w]) + slices[e.w] + 1) * slice_ms[e.w] - now_ms end,
      current[e.w]
    from unnest(windows, costs, limits) with ordinality as e(w, cost, most, n)
    order by e.n;
end $$;
