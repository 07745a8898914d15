import type { Kind } from '../facts.ts'
import type { Promises } from './promises.ts'

/** What clients are answered, and nobody is told. */
export const answerPromises: Promises = {
  'a walk through the list shows each row once': function* ({ lists, creates, deletes }) {
    for (const { asked, at: ended, ids, whole, tag: wanted } of lists) {
      const listed = new Set(ids)
      if (!whole && ids.length === 0) continue
      const last = whole ? '' : (ids.at(-1) ?? '')
      for (const [nth, id] of ids.entries()) {
        if (nth > 0 && id >= (ids[nth - 1] ?? '')) yield `${id} was listed after ${ids[nth - 1]}`
        const gone = deletes.get(id)?.find(({ at, status }) => status < 300 && status > 0 && at < asked)
        if (gone) yield `${id} was listed ${asked - gone.at} ms after it was deleted`
      }
      for (const { id, at, status, tag } of creates) {
        if (wanted && wanted !== tag) {
          if (id && listed.has(id)) yield `${id} is of team ${tag} and was listed among ${wanted}`
          continue
        }
        const stood =
          id &&
          status > 0 &&
          status < 300 &&
          at < asked &&
          !deletes.get(id)?.some((one) => one.asked <= ended)
        if (stood && id >= last && !listed.has(id))
          yield `${id} was missing from a list asked for ${asked - at} ms later`
      }
    }
  },
  'what fails for now is a 503 that says when to ask again': function* ({ failed }) {
    for (const one of failed) {
      const { is, status, retryAfter, error } = one
      if (!(status === 503 && retryAfter)) yield `a ${is} (${about(one)}) was answered ${status} (${error})`
    }
  },
  'no secret is told': function* ({ leaks }) {
    yield* leaks
  },
}

function about(one: Kind<'create' | 'get' | 'cancel' | 'delete' | 'list'>): string {
  if (one.is === 'list') return `after ${one.ids.length} ids`
  return one.is === 'create' ? (one.key ?? one.word ?? 'without a key') : one.id
}
