/**
 * Counts asks in windows, each as a whole or not at all, in their order. Each key is the hash of a window: what was
 * counted, by the number of the slice. It is read once and written once, however many ask for it. The argument is one
 * array in JSON: of each key the milliseconds of a slice and the slices, then of each ask how often it is asked, how many
 * entries it has and of each entry the number of its key, the cost, the limit and the slice. Answers of each how often it was
 * counted, and how its windows stand after that. Large numbers are written out: Lua would say 1e+12.
 */
export const script = `
  local time = redis.call('time')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local given = cjson.decode(ARGV[1])
  local windows = {}
  for n, key in ipairs(KEYS) do
    local ms, slices = given[2 * n - 1], given[2 * n]
    local current = math.floor(now / ms)
    local first, used, counts, filled, stale = current - slices, 0, {}, {}, {}
    local all = redis.call('hgetall', key)
    for i = 1, #all, 2 do
      local slice, count = tonumber(all[i]), tonumber(all[i + 1])
      if slice < first then
        stale[#stale + 1] = all[i]
      else
        used = used + count
        counts[slice] = count
        filled[#filled + 1] = slice
      end
    end
    table.sort(filled)
    if #stale > 0 then redis.call('hdel', key, unpack(stale)) end
    windows[n] = { ms = ms, slices = slices, current = current, first = first, used = used, counts = counts,
      filled = filled, changes = {} }
  end

  local function add(w, slice, cost)
    local before = w.counts[slice]
    local count = (before or 0) + cost
    local filled = w.filled
    if count == 0 then
      for at = 1, #filled do
        if filled[at] == slice then table.remove(filled, at) break end
      end
      w.counts[slice] = nil
    else
      if not before then
        local at = #filled + 1
        while at > 1 and filled[at - 1] > slice do at = at - 1 end
        table.insert(filled, at, slice)
      end
      w.counts[slice] = count
    end
    w.used = w.used + cost
    w.changes[slice] = (w.changes[slice] or 0) + cost
  end

  local function leaves(w, slice) return (slice + w.slices + 1) * w.ms - now end

  local function fits(w, cost, limit)
    local left = w.used
    for _, slice in ipairs(w.filled) do
      left = left - w.counts[slice]
      if left + cost <= limit then return leaves(w, slice) end
    end
    return leaves(w, w.current)
  end

  local function fit(first, last)
    for i = first, last, 4 do
      local limit = given[i + 2]
      if limit and windows[given[i]].used + given[i + 1] > limit then return false end
    end
    return true
  end

  local answer = {}
  local at = 2 * #KEYS + 1
  while at <= #given do
    local times, first, last = given[at], at + 2, at + 1 + 4 * given[at + 1]
    local counted = 0
    while counted < times and fit(first, last) do
      for i = first, last, 4 do
        local w, cost = windows[given[i]], given[i + 1]
        local slice = given[i + 3] or w.current
        if cost ~= 0 and slice >= w.first then add(w, slice, cost) end
      end
      counted = counted + 1
    end
    answer[#answer + 1] = counted
    for i = first, last, 4 do
      local w, cost, limit = windows[given[i]], given[i + 1], given[i + 2]
      local n = #answer
      answer[n + 1] = w.used
      answer[n + 2] = w.filled[1] and leaves(w, w.filled[1]) or 0
      answer[n + 3] = limit and w.used + cost > limit and fits(w, cost, limit) or 0
      answer[n + 4] = w.current
    end
    at = last + 1
  end

  for n, w in ipairs(windows) do
    local changed = false
    for slice, change in pairs(w.changes) do
      local name = string.format('%.0f', slice)
      if not w.counts[slice] then
        redis.call('hdel', KEYS[n], name)
      elseif change ~= 0 then
        redis.call('hincrby', KEYS[n], name, string.format('%.0f', change))
      end
      changed = true
    end
    if changed then redis.call('pexpire', KEYS[n], string.format('%.0f', w.ms * (w.slices + 2))) end
  end
  return answer`
