import { databaseNow } from '@millrace/database/clock'
import type { Database } from '@millrace/database/connect'
import { limitText } from '@millrace/lifecycle/caps'
import { limitBefore, type ModelLine, placeIn, readLine } from '@millrace/lifecycle/line'
import { type PredictionRow, present } from '@millrace/lifecycle/present'
import type { Context } from './context.ts'
import { hindranceOf } from './hindrance.ts'
import { isElsewhere } from './model-hosts.ts'

/**
 * The lines of models, read when somebody asks and kept for a moment: many who poll at once cost what one does. One that
 * takes long to read is kept for fifty times as long.
 */
export function keepLines(db: Database): Lines {
  const kept = new Map<string, Kept>()

  async function read(model: string): Promise<ModelLine> {
    const begun = performance.now()
    const line = await readLine(db, model)
    const now = performance.now()
    kept.set(model, { line: Promise.resolve(line), until: now + Math.max(keptMs, 50 * (now - begun)) })
    return line
  }

  return {
    of(model) {
      const known = kept.get(model)
      if (known && performance.now() < known.until) return known.line
      const line = read(model)
      // Whoever asks meanwhile waits for the same answer; a failure is nobody's but theirs.
      kept.set(model, { line, until: Number.POSITIVE_INFINITY })
      line.catch(() => kept.delete(model))
      return line
    },
  }
}

const keptMs = 250

/** One prediction as it is shown to who asked for it: with its place in line, and what else it waits for, while it waits. */
export async function presentPlaced(context: Context, row: PredictionRow): Promise<Shown> {
  const shown = present(row, context.links)
  return { ...shown, metadata: { ...shown.metadata, ...(await waitOf(context, row)) } }
}

async function waitOf(context: Placing, row: PredictionRow): Promise<Wait> {
  const now = databaseNow()
  if (row.status !== 'pending') return {}
  if (row.run_at && row.run_at.getTime() > now)
    return { waiting_for: `Its run_at, ${row.run_at.toISOString()}.` }
  // What was created just now has not been read back: it is in line.
  if (!(row.waits ?? true)) return {}
  const { catalogue, lines, log } = context
  const turn = row.turn ?? row.created_at.getTime() / 1000
  const model = catalogue.find(row.line ?? row.model)
  try {
    const line = await lines.of(row.line ?? model?.namespace ?? row.model)
    const hosts = model && isElsewhere(model) ? await context.hosts.states() : []
    const waiting = { priority: row.priority, account: row.account_id, lane: row.lane, turn }
    const limit = limitBefore(line, waiting)
    const hindrance =
      hindranceOf(model, { workers: line.workers, hosts }) ?? (limit ? limitText(limit) : null)
    return {
      queue: placeIn(line, waiting, now),
      ...(hindrance === null ? {} : { waiting_for: hindrance }),
    }
  } catch (error) {
    // Nobody's prediction is lost because its place is not known.
    log.debug({ err: error }, 'the place in line could not be told')
    return {}
  }
}

type Placing = Pick<Context, 'catalogue' | 'lines' | 'hosts' | 'log'>

interface Kept {
  line: Promise<ModelLine>
  until: number
}

export interface Lines {
  /** As of a moment ago. */
  of(model: string): Promise<ModelLine>
}

type Shown = ReturnType<typeof present>
type Wait = Pick<Shown['metadata'], 'queue' | 'waiting_for'>
