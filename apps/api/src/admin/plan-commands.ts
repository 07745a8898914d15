import { pageAudit } from '@millrace/accounts/audit'
import { listPlans, putPlan } from '@millrace/accounts/plans'
import { putPlan as planShape } from '@millrace/contract/admin'
import { accountIdOf, actor, type Command, checked } from './command.ts'

/** `plans …` and `audit` */
export const planCommands: Readonly<Record<string, Command>> = {
  'plans list': async ({ db }) => {
    return (await listPlans(db))
      .map(({ name, settings }) => `${name}  ${JSON.stringify(settings)}`)
      .join('\n')
  },
  'plans set': async ({ db, words: [name, text] }) => {
    const wanted = checked(planShape, { name, settings: parsed(text) })
    const { settings } = await putPlan(db, actor, wanted.name, wanted.settings)
    return `${wanted.name}  ${JSON.stringify(settings)}`
  },
  audit: async ({ db, flags }) => {
    const accountId = flags.account === undefined ? undefined : await accountIdOf(db, flags.account)
    const { rows } = await pageAudit(db, { act: flags.act, accountId }, { size: 50, offset: 0 })
    return rows
      .map(({ created_at: at, actor: kind, key_name: key, ip, act, target, after }) =>
        [
          at.toISOString(),
          kind === 'key' ? `key "${key}"${ip === null ? '' : ` from ${ip}`}` : kind,
          act,
          target,
          after === null ? '' : JSON.stringify(after),
        ].join('  '),
      )
      .join('\n')
  },
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    throw new Error(`Give the settings as JSON, such as '{"limits": {"requests": 60}}'.`)
  }
}
