import type { Kind } from '../facts.ts'
import { disorderIn, type KeyAnswer } from '../key-register.ts'
import type { Promises } from './promises.ts'

/** What becomes of a create. */
export const createPromises: Promises = {
  'every accepted create has exactly one row': function* ({ creates, rows, deletes, createsBy }) {
    for (const { id, key, word, status } of creates) {
      const known = id && (rows.has(id) || deletes.has(id))
      if (status < 300 && status > 0 && !known) yield `${id} (${nameOf({ key, word })}) has no row`
    }
    const keyless = [...rows.values()].filter(({ key, inputWord }) => key === null && inputWord !== null)
    for (const [word, made] of Map.groupBy(keyless, ({ inputWord }) => inputWord)) {
      const sent = createsBy.word.get(word ?? '')?.length ?? 0
      if (made.length > 1)
        yield `${word} was sent ${sent} times without a key and made ${made.map(({ id }) => id).join(' and ')}`
    }
  },
  'one idempotency key is one prediction': function* ({ creates, rows, createsBy }) {
    const keyless = new Set(creates.flatMap(({ key, word }) => (key === null && word ? word : [])))
    for (const { id, key, inputWord } of rows.values()) {
      if (key === null && !createsBy.id.has(id) && !keyless.has(inputWord ?? ''))
        yield `${id} has no key, and nobody was told of it`
    }
    for (const [key, calls] of createsBy.key) {
      const ids = new Set(calls.flatMap(({ id }) => id ?? []))
      if (ids.size > 1) yield `${key} was answered with ${[...ids].join(' and ')}`
      for (const id of ids) {
        const other = rows.get(id)?.key ?? key
        if (other !== key) yield `${key} was answered with ${id}, which ${other} made`
      }
    }
    const rowsByKey = Map.groupBy([...rows.values()], ({ key }) => key)
    for (const [key, made] of rowsByKey) {
      if (key !== null && made.length > 1) yield `${key} made ${made.map(({ id }) => id).join(' and ')}`
      if (key !== null && !createsBy.key.has(key)) yield `${key} was never asked for`
    }
  },
  'the creates under one key happened in one order': function* ({ createsBy }) {
    for (const [key, calls] of createsBy.key) {
      const disorder = disorderIn(
        calls.map((call) => ({ body: call.body, start: call.asked, end: call.at, answer: keyAnswer(call) })),
      )
      if (disorder) yield `${key}: ${disorder}`
    }
  },
  'what was accepted can be read': function* ({ looks, createsBy, deletes }) {
    for (const [id, seen] of looks) {
      const accepted = createsBy.id.get(id)?.[0]
      const lost = seen.find(
        ({ status, asked, at }) =>
          status === 404 &&
          accepted &&
          accepted.at < asked &&
          !deletes.get(id)?.some((one) => one.asked <= at),
      )
      if (lost)
        yield `${id} was unknown to a ${lost.is} ${lost.asked - (accepted?.at ?? 0)} ms after its create`
    }
  },
}

function keyAnswer({ status, id, error, replayed = false }: Kind<'create'>): KeyAnswer {
  if (id) return { id, replayed }
  if (error === 'IDEMPOTENCY_KEY_REUSED') return 'reused'
  if (error === 'IDEMPOTENCY_IN_PROGRESS') return 'in-progress'
  return status >= 400 && status < 500 ? 'refused' : 'unknown'
}

function nameOf({ key, word }: { key: string | null; word: string | undefined }): string {
  return key === null ? `word ${word}` : `key ${key}`
}
