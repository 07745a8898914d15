import type { Connection } from '@millrace/database/connect'
import { isFree } from './free-runs.ts'
import { maxAttempts } from './lifecycle.ts'
import { justBefore, openLines } from './open-lines.ts'
import { holdPlaces, isNear, type Place } from './places.ts'
import { type Line, newRound, type Round, share } from './rotation.ts'
import { turnsOf } from './turns.ts'

/**
 * Locks up to `wanted` free runs of a model that are next: the priorities share the turns as ./turns.ts says, and within
 * each priority the accounts as ./rotation.ts says. Of an account or key that may have only so many under way no more
 * are taken, and nobody else takes any, until the transaction ends. Answers which limits each run counts for, which of
 * those are `near`, and whether there may be `more` that was not looked at.
 */
export async function pickRuns(connection: Connection, request: PickRequest): Promise<Picked> {
  const { wanted, rotation, draw, model } = request
  const { lines, isCut } = await findLines(connection, request)
  const [low, normal] = turnsOf(wanted, draw)
  const quotas = [wanted - low - normal, normal, low]
  const rooms = await holdRooms(connection, shareOut({ lines, quotas, rotation, rooms: new Map() }).given)
  // Others may be waiting for the limits that were not asked for: those are taken in one go and in one order.
  const usable = new Set(lines.filter((line) => line.limits.every(({ name }) => rooms.has(name))))
  const runs = new Map<string, PickLine>()
  let rounds = rotation.rounds
  for (let quota = quotas; runs.size < wanted && usable.size > 0; quota = [wanted - runs.size, 0, 0]) {
    const plan = shareOut({ lines: [...usable], quotas: quota, rotation: { rounds }, rooms })
    if (plan.given.size === 0) break
    rounds = plan.rounds
    const picked = await lockRuns(connection, model, plan.given, [...runs.keys()])
    for (const [line, turns] of plan.given) {
      const ids = picked.get(line) ?? []
      for (const id of ids) runs.set(id, line)
      for (const { name } of line.limits) rooms.set(name, (rooms.get(name) ?? 0) - ids.length)
      if (ids.length < turns) usable.delete(line)
    }
  }
  const isSkipped = ({ limits }: PickLine) => limits.some(({ name }) => !rooms.has(name))
  return {
    runs,
    near: nearOf(lines, rooms),
    more: runs.size < wanted && (isCut || lines.some(isSkipped)),
    rounds,
  }
}

/**
 * The limits that others may be waiting for by the time that one of these runs ends. What is far from its limit comes near
 * it only by runs that are claimed later, and those tell of their ends.
 */
function nearOf(lines: PickLine[], rooms: ReadonlyMap<string, number>): Set<string> {
  const limits = lines.flatMap((line) => line.limits)
  return new Set(limits.filter((limit) => isNear(rooms.get(limit.name) ?? 0, limit)).map(({ name }) => name))
}

/** Where the turns of a model are, for one who claims of it again and again. Begins with the account after `at`. */
export const newRotation = (at?: string): Rotation => ({ rounds: priorities.map(() => newRound(at)) })

const priorities = [0, 1, 2] as const

async function findLines(
  connection: Connection,
  { model, wanted, except, rotation: { rounds } }: PickRequest,
): Promise<{ lines: PickLine[]; isCut: boolean }> {
  const starts = rounds.map(({ at, left }) => (left > 0 ? justBefore(at) : at))
  const { rows } = await connection.query<FoundLine>({
    name: 'find-lines',
    text: findStatement,
    values: [model, priorities, starts, wanted, maxAttempts, except],
  })
  const lines = rows.flatMap((row) => (row.enough ? [] : [{ ...row, limits: row.limits ?? [] }]))
  return { lines, isCut: lines.length < rows.length }
}

const findStatement = `
  with recursive ${openLines(
    `select $1::text as model, s.priority, s.start, $4::integer as wanted, 0::float8 as late, null::uuid as only
     from unnest($2::smallint[], $3::uuid[]) as s(priority, start)`,
    '$5',
    '$6',
  )}
  select priority, account_id as account, lane, turn, weight, limits, false as enough from open_lines
  union all
  select priority, account_id, lane, null, null, null, true from walk where enough`

/** Who gets which turns: each priority its own, and what one cannot use goes to the most urgent that can. */
function shareOut({ lines, quotas, rotation, rooms }: Shares): {
  given: Map<PickLine, number>
  rounds: Round[]
} {
  const given = new Map<PickLine, number>()
  const rounds = [...rotation.rounds]
  const room = ({ limits }: PickLine, alsoGiven: ReadonlyMap<PickLine, number>) =>
    Math.min(
      ...limits.map(({ name }) => (rooms.get(name) ?? 1e9) - usedOf(name, given) - usedOf(name, alsoGiven)),
      1e9,
    )
  const fill = (priority: number, turns: number): number => {
    const own = lines.filter((line) => line.priority === priority)
    if (own.length === 0) return turns
    const shared = share(own, turns, { round: rounds[priority] ?? newRound(), room })
    for (const [line, count] of shared.given) given.set(line, (given.get(line) ?? 0) + count)
    rounds[priority] = shared.round
    return shared.spare
  }
  let spare = 0
  for (const priority of priorities) spare += fill(priority, quotas[priority] ?? 0)
  for (const priority of priorities) spare = fill(priority, spare)
  return { given, rounds }
}

function usedOf(name: string, given: ReadonlyMap<PickLine, number>): number {
  let used = 0
  for (const [{ limits }, count] of given) if (limits.some((limit) => limit.name === name)) used += count
  return used
}

/** How many more may be under way, of all limits of these lines. */
async function holdRooms(
  connection: Connection,
  given: ReadonlyMap<PickLine, number>,
): Promise<Map<string, number>> {
  const limits = new Map([...given.keys()].flatMap((line) => line.limits.map((limit) => [limit.name, limit])))
  if (limits.size === 0) return new Map()
  const held = await holdPlaces(connection, [...limits.values()])
  return new Map([...limits].map(([name, { limit }]) => [name, limit - (held.get(name) ?? 0)]))
}

async function lockRuns(
  connection: Connection,
  model: string,
  given: ReadonlyMap<PickLine, number>,
  already: string[],
): Promise<Map<PickLine, string[]>> {
  const lines = [...given.keys()]
  const asked = lines.map((line, n) => ({
    n,
    priority: line.priority,
    account: line.account,
    lane: line.lane,
    turns: given.get(line),
  }))
  const { rows } = await connection.query<{ n: number; prediction_id: string }>({
    name: 'pick',
    text: pickStatement,
    values: [model, JSON.stringify(asked), maxAttempts, already],
  })
  const picked = new Map<PickLine, string[]>(lines.map((line) => [line, []]))
  for (const { n, prediction_id: id } of rows) {
    const line = lines[n]
    if (line) picked.get(line)?.push(id)
  }
  return picked
}

// A statement of its own for the reason that ./hold-runs.ts gives. Each part of it is a scan from the front of a line;
// what this transaction has locked itself would not be skipped.
const pickStatement = `
  select l.n, next.prediction_id
  from json_to_recordset($2) as l(n integer, priority smallint, account uuid, lane uuid, turns integer), lateral (
    select r.prediction_id from runs r
    where r.model = $1 and r.priority = l.priority and r.account_id = l.account and r.lane = l.lane
      and r.run_at <= clock_timestamp() and ${isFree('$3')} and r.prediction_id <> all($4::uuid[])
    order by r.turn, r.prediction_id limit l.turns
    for update skip locked
  ) next`

export interface PickRequest {
  model: string
  wanted: number
  rotation: Rotation
  /** Accounts of which nothing is taken. */
  except: string[]
  /** Which turn of the priorities this is, from 0 to 1: by chance, unless it is given. */
  draw?: number | undefined
}

/** For each priority, in the order of `priorities`. */
export interface Rotation {
  rounds: Round[]
}

interface Picked {
  runs: Map<string, PickLine>
  /** Names of limits. */
  near: Set<string>
  more: boolean
  /** For the rotation, once the runs are taken. */
  rounds: Round[]
}

/** Runs of one model, priority, account and, where it has limits of its own, key. */
export interface PickLine extends Line {
  priority: number
  lane: string
  limits: Place[]
}

type FoundLine = Omit<PickLine, 'limits'> & {
  limits: Place[] | null
  /** There is more, which was not looked at. */
  enough: boolean
}

interface Shares {
  lines: PickLine[]
  quotas: number[]
  rotation: Rotation
  /** By the limit's name, where it is held. */
  rooms: ReadonlyMap<string, number>
}
