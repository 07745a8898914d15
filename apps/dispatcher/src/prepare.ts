import type { Database } from '@millrace/database/connect'
import { unseal } from '@millrace/keys/seal'
import { rangeOf } from '@millrace/lifecycle/id-range'
import type { ClaimedDelivery } from './claim-due.ts'

/**
 * Reads what the claimed deliveries need to be sent: their bytes, the secrets valid now, and their endpoints' headers.
 * One whose target wants nothing any more (the endpoint was disabled or deleted; an earlier event of the prediction
 * was answered with 410) is unwanted and will be dropped.
 */
export async function prepare(
  db: Database,
  sealingKeys: readonly Buffer[],
  claimed: ClaimedDelivery[],
): Promise<(PreparedDelivery | UnwantedDelivery)[]> {
  if (claimed.length === 0) return []
  const { rows } = await db.pool.query<MessageRow>({
    name: 'prepare',
    text: statement,
    values: [
      claimed.map(({ id }) => id),
      ...rangeOf(claimed.map(({ id }) => id)),
      ...rangeOf(claimed.map(({ body_id }) => body_id)),
      rangeOf(claimed.map(({ prediction_id }) => prediction_id))[0],
    ],
  })
  const byId = new Map(rows.map((row) => [row.id, row]))
  return claimed.flatMap((delivery): (PreparedDelivery | UnwantedDelivery)[] => {
    const row = byId.get(delivery.id)
    if (row === undefined) return []
    if (!row.wanted || row.body === null) return [{ kind: 'unwanted', delivery }]
    const { body, headers, sealed, made } = row
    return [{ kind: 'prepared', delivery, body, headers, secrets: unsealAll(sealed, sealingKeys), made }]
  })
}

/** None at all when one does not open: a receiver that knows only that one would refuse the rest. */
function unsealAll(sealed: Buffer[], keys: readonly Buffer[]): string[] {
  try {
    return sealed.map((secret) => unseal(secret, keys))
  } catch {
    return []
  }
}

// The current secret comes first: the single signature beside the standard ones is made with it. Before a first
// claim nothing was made; the attempts of 0.1 have rows of their own.
const statement = `
  select d.id, b.body, coalesce(w.headers, '{}') as headers,
    array(select s.sealed from signing_secrets s
          where s.account_id = d.account_id and s.endpoint_id is not distinct from d.endpoint_id
            and (s.retires_at is null or s.retires_at > clock_timestamp())
          order by s.retires_at desc nulls first) as sealed,
    case when d.attempt = 1 then 0
         else (select count(*)::integer from jsonb_object_keys(d.attempts))
              + (select count(*)::integer from delivery_attempts a
                 where a.delivery_id = d.id and a.delivery_id between $2 and $3)
    end as made,
    case when d.endpoint_id is not null then coalesce(w.active, false)
         else not exists (
           select from deliveries e
           where e.prediction_id = d.prediction_id and e.id between least($6::uuid, $2::uuid) and $3 and e.seq < d.seq
             and e.endpoint_id is null and e.url = d.url and e.state = 'dropped'
           offset 0)
    end as wanted
  from deliveries d
  left join webhook_bodies b on b.id = d.body_id and b.id between $4 and $5
  left join webhook_endpoints w on w.id = d.endpoint_id
  where d.id = any($1::uuid[]) and d.id between $2 and $3`

/** A claimed delivery with all that its request is made of. */
export interface PreparedDelivery {
  kind: 'prepared'
  delivery: ClaimedDelivery
  /** The exact text to send. */
  body: string
  /** The endpoint's own; none for a prediction's webhook. */
  headers: Record<string, string>
  /** The current one first; empty when they cannot be read. */
  secrets: string[]
  /** The attempts made before this one. `delivery.attempt` counts claims, also of dispatchers that died before they sent. */
  made: number
}

/** A claimed delivery that nobody wants any more. */
export interface UnwantedDelivery {
  kind: 'unwanted'
  delivery: ClaimedDelivery
}

interface MessageRow {
  id: string
  body: string | null
  headers: Record<string, string>
  sealed: Buffer[]
  made: number
  wanted: boolean
}
