import type { DeliveryRow, Entry, PredictionRow } from './history.ts'

/** What a history tells, by what it is about. */
export function gather(entries: Entry[]): Facts {
  const of = <Name extends Entry['is']>(kind: Name) =>
    entries.filter((entry): entry is Kind<Name> => entry.is === kind)
  const deliveries = of('delivery').map(({ row }) => row)
  const creates = of('create')
  return {
    creates,
    createsBy: {
      id: groupBy(creates, ({ id }) => id),
      key: groupBy(creates, ({ key }) => key ?? undefined),
      word: groupBy(creates, ({ word }) => word),
    },
    looks: Map.groupBy([...of('get'), ...of('cancel')], ({ id }) => id),
    cancels: new Set(of('cancel').map(({ id }) => id)),
    lists: of('list'),
    deletes: Map.groupBy(of('delete').filter(mayHaveHappened), ({ id }) => id),
    failed: [...creates, ...of('get'), ...of('cancel'), ...of('delete'), ...of('list')].filter(
      ({ status }) => status >= 500,
    ),
    rows: new Map(of('prediction').map(({ row }) => [row.id, row])),
    events: Map.groupBy(
      of('status-event').toSorted((a, b) => a.seq - b.seq),
      ({ id }) => id,
    ),
    otherEvents: new Map(of('other-events').map(({ id, told }) => [id, told])),
    deliveries: Map.groupBy(deliveries, ({ prediction }) => prediction),
    deliveriesById: new Map(deliveries.map((one) => [one.id, one])),
    endpoints: of('endpoint'),
    received: Map.groupBy(of('webhook'), ({ id }) => id),
    workerLosses: [
      ...of('exit').filter(({ process }) => process.startsWith('worker')),
      ...of('fault').filter(({ what }) => what.startsWith('SIGSTOP worker')),
    ].map(({ at }) => at),
    ownerless: of('ownerless'),
    books: of('books'),
    leftovers: of('leftover').map(({ what }) => what),
    leaks: of('leak').map(({ where, secret }) => `${secret} in ${where}`),
  }
}

/** The creates that may have made a row: those under its key, else those with its word, else those that were told of it. */
export function creatorsOf({ id, key, inputWord }: PredictionRow, { createsBy }: Facts): Kind<'create'>[] {
  if (key !== null) return createsBy.key.get(key) ?? []
  const byWord = inputWord === null ? undefined : createsBy.word.get(inputWord)
  return byWord ?? createsBy.id.get(id) ?? []
}

/** Whether a request was done, as far as its client can know. */
function mayHaveHappened({ status }: { status: number }): boolean {
  return status < 300 || status >= 500
}

function groupBy<Item>(items: Item[], of: (item: Item) => string | undefined): Map<string, Item[]> {
  const groups = Map.groupBy(items, of)
  groups.delete(undefined)
  return groups as Map<string, Item[]>
}

export type Kind<Name extends Entry['is']> = Extract<Entry, { is: Name }>

export interface Facts {
  creates: Kind<'create'>[]
  createsBy: Record<'id' | 'key' | 'word', Map<string, Kind<'create'>[]>>
  /** Every answer to a look, or to a cancel, by the prediction that it was about. */
  looks: Map<string, (Kind<'get'> | Kind<'cancel'>)[]>
  /** Those whose cancellation somebody asked for, whatever the answer. */
  cancels: Set<string>
  lists: Kind<'list'>[]
  /** Those that were done, or may have been. */
  deletes: Map<string, Kind<'delete'>[]>
  /** Whatever was answered 500 or more. */
  failed: Kind<'create' | 'get' | 'cancel' | 'delete' | 'list'>[]
  rows: Map<string, PredictionRow>
  events: Map<string, Kind<'status-event'>[]>
  otherEvents: Map<string, Kind<'other-events'>['told']>
  deliveries: Map<string, DeliveryRow[]>
  deliveriesById: Map<string, DeliveryRow>
  endpoints: Kind<'endpoint'>[]
  received: Map<string, Kind<'webhook'>[]>
  /** When a worker ended or was stopped. */
  workerLosses: number[]
  ownerless: Kind<'ownerless'>[]
  books: Kind<'books'>[]
  leftovers: string[]
  leaks: string[]
}
