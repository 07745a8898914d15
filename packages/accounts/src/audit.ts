import type { AuditEntry } from '@millrace/contract/admin'
import type { Connection, Database } from '@millrace/database/connect'
import { newId, toTypeId } from '@millrace/database/ids'
import { type Found, type Page, pageRows } from '@millrace/database/page'
import type { AuditTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'

/** Notes an administrative act, in the transaction that does it. What it is given must hold no secret. */
export async function noteAct(connection: Connection, actor: Actor, act: Act): Promise<void> {
  const by = actor.kind === 'key' ? actor : undefined
  await connection.query(
    `insert into audit_log (id, actor, key_id, key_name, actor_account_id, ip, request_id, act, target, account_id, before, after)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      newId(),
      actor.kind,
      by?.keyId ?? null,
      by?.keyName ?? null,
      by?.accountId ?? null,
      by?.ip ?? null,
      by?.requestId ?? null,
      act.act,
      act.target,
      act.accountId ?? null,
      act.before ? JSON.stringify(act.before) : null,
      act.after ? JSON.stringify(act.after) : null,
    ],
  )
}

/** What of `after` is not as it was, before and after. */
export function changesOf<T extends object>(was: T, is: T): { before: Partial<T>; after: Partial<T> } {
  const names = (Object.keys(is) as (keyof T)[]).filter(
    (name) => JSON.stringify(was[name]) !== JSON.stringify(is[name]),
  )
  const only = (all: T) => Object.fromEntries(names.map((name) => [name, all[name]])) as Partial<T>
  return { before: only(was), after: only(is) }
}

/** A page of acts, newest first. */
export function pageAudit(db: Database, filter: AuditFilter, page: Page): Promise<Found<AuditRow>> {
  const { above: oldest, below: newest, act, accountId, keyId, target } = filter
  let query = db.kysely.selectFrom('audit_log')
  if (oldest !== undefined) query = query.where('id', '>=', oldest)
  if (newest !== undefined) query = query.where('id', '<', newest)
  if (act !== undefined) query = query.where('act', '=', act)
  if (accountId !== undefined) query = query.where('account_id', '=', accountId)
  if (keyId !== undefined) query = query.where('key_id', '=', keyId)
  if (target !== undefined) query = query.where('target', '=', target)
  return pageRows(query, page)
}

/** An act as the API tells it. */
export function presentAct(row: AuditRow): AuditEntry {
  return {
    id: toTypeId('audit', row.id),
    created_at: row.created_at.toISOString(),
    by: {
      type: row.actor,
      key_id: row.key_id === null ? null : toTypeId('key', row.key_id),
      key_name: row.key_name,
      account_id: row.actor_account_id === null ? null : toTypeId('acct', row.actor_account_id),
      ip: row.ip,
    },
    request_id: row.request_id,
    act: row.act,
    target: row.target,
    account_id: row.account_id === null ? null : toTypeId('acct', row.account_id),
    before: row.before,
    after: row.after,
  }
}

/** Who does it: a key, by a request, the command line, or the start of the service. */
export type Actor =
  | {
      kind: 'key'
      keyId: string
      keyName: string
      accountId: string
      ip: string | null
      requestId: string | null
    }
  | { kind: 'cli' }
  | { kind: 'setup' }

export interface Act {
  /** Such as `key.create`. */
  act: string
  /** To what: a public id, or the name of a plan. */
  target: string
  /** Whose that is. */
  accountId?: string
  before?: object
  after?: object
}

export interface AuditFilter {
  /** Ids from here, and below here. */
  above?: string | undefined
  below?: string | undefined
  act?: string | undefined
  accountId?: string | undefined
  keyId?: string | undefined
  target?: string | undefined
}

export type AuditRow = Selectable<AuditTable>
