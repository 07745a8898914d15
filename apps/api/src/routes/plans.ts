import * as plans from '@millrace/accounts/plans'
import { endpoints } from '@millrace/contract/endpoints'
import type { PlanSettings } from '@millrace/contract/plan'
import { actorOf } from '../actor-of.ts'
import { planSignal } from '../callers.ts'
import { type Incoming, route } from '../route.ts'
import { tellCallers } from '../tell-callers.ts'

export const listPlans = route(endpoints.listPlans, async ({ context }) => {
  return { data: await plans.listPlans(context.db) }
})

export const putPlan = route(endpoints.putPlan, (incoming) => {
  return put(incoming, incoming.body.name, incoming.body.settings)
})

export const putNamedPlan = route(endpoints.putNamedPlan, (incoming) => {
  return put(incoming, incoming.params.name, incoming.body)
})

async function put(
  incoming: Pick<Incoming<never>, 'context' | 'caller' | 'request' | 'response'>,
  name: string,
  settings: PlanSettings,
) {
  const plan = await plans.putPlan(incoming.context.db, actorOf(incoming), name, settings)
  tellCallers(incoming.context, [planSignal(name)])
  return plan
}
