import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connectRedis } from '@millrace/queue/connect-redis'
import type { RateCount, RateEntry, RateReading, RateStore } from './rate-window.ts'

/**
 * Windows in Redis, by its clock: one script for each ask, so that whatever is asked at once is counted one by one. A
 * call that is not answered at once fails: whoever asks has something better to do than to wait.
 */
export function redisWindows(url: string, prefix = 'millrace'): RateStore {
  const redis = connectRedis(url, { maxRetriesPerRequest: 0, commandTimeout: 1_000, socketTimeout: 2_000 })
  redis.defineCommand('countRates', { lua: script })
  const scripted = redis as unknown as Scripted
  return {
    async count(entries) {
      // In a cluster what is counted together must be on one node.
      const keys = entries.map(({ window }) => `${prefix}:rates:{${window.owner}}:${window.name}`)
      const given = entries.flatMap(({ window, cost, limit = '', slice = '' }) => [
        window.sliceMs,
        window.slices,
        cost,
        limit,
        slice,
      ])
      return read(entries, await scripted.countRates(keys.length, ...keys, ...given))
    },
    async opened() {
      if (redis.status === 'ready') return
      await Promise.race([once(redis, 'ready'), delay(openMs, undefined, { ref: false })]).catch(
        () => undefined,
      )
    },
    async close() {
      redis.disconnect()
    },
  }
}

function read(entries: readonly RateEntry[], answer: number[]): RateCount {
  const [counted, ...numbers] = answer
  return {
    counted: counted === 1,
    readings: entries.map((_, n): RateReading => {
      const [used = 0, leavesMs = 0, fitsMs = 0, slice = 0] = numbers.slice(4 * n, 4 * n + 4)
      return { used, leavesMs, fitsMs, slice }
    }),
  }
}

/** For the first connection; one that is refused is known sooner. */
const openMs = 1_000

/** One hash a window: what was counted, by the number of the slice. Large numbers are written out: Lua would say 1e+12. */
const script = `
  local time = redis.call('time')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local entries = {}
  local fitting = true
  for n, key in ipairs(KEYS) do
    local at = 5 * (n - 1)
    local e = { key = key, ms = tonumber(ARGV[at + 1]), slices = tonumber(ARGV[at + 2]), cost = tonumber(ARGV[at + 3]),
      limit = tonumber(ARGV[at + 4]), used = 0, filled = {} }
    e.current = math.floor(now / e.ms)
    e.slice = tonumber(ARGV[at + 5]) or e.current
    local stale = {}
    local all = redis.call('hgetall', key)
    for i = 1, #all, 2 do
      local slice, count = tonumber(all[i]), tonumber(all[i + 1])
      if slice < e.current - e.slices then
        stale[#stale + 1] = all[i]
      else
        e.used = e.used + count
        e.filled[#e.filled + 1] = { slice, count }
      end
    end
    if #stale > 0 then redis.call('hdel', key, unpack(stale)) end
    if e.limit and e.used + e.cost > e.limit then fitting = false end
    entries[n] = e
  end

  local answer = { fitting and 1 or 0 }
  for n, e in ipairs(entries) do
    if fitting and e.cost ~= 0 and e.slice >= e.current - e.slices then
      local name = string.format('%.0f', e.slice)
      if redis.call('hincrby', e.key, name, string.format('%.0f', e.cost)) == 0 then redis.call('hdel', e.key, name) end
      redis.call('pexpire', e.key, string.format('%.0f', e.ms * (e.slices + 2)))
      e.used = e.used + e.cost
      e.filled[#e.filled + 1] = { e.slice, e.cost }
    end
    table.sort(e.filled, function(a, b) return a[1] < b[1] end)
    local leaves, fits = 0, 0
    if e.filled[1] then leaves = (e.filled[1][1] + e.slices + 1) * e.ms - now end
    if e.limit and e.used + e.cost > e.limit then
      local left, last = e.used, e.current
      for _, one in ipairs(e.filled) do
        left = left - one[2]
        if left + e.cost <= e.limit then last = one[1] break end
      end
      fits = (last + e.slices + 1) * e.ms - now
    end
    for _, number in ipairs({ e.used, leaves, fits, e.current }) do answer[#answer + 1] = number end
  end
  return answer`

interface Scripted {
  countRates(count: number, ...parameters: (string | number)[]): Promise<number[]>
}
