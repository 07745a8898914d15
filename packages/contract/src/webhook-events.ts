/** The events a prediction may fire. */
export const predictionEvents = [
  'prediction.created',
  'prediction.starting',
  'prediction.started',
  'prediction.succeeded',
  'prediction.failed',
  'prediction.cancelled',
] as const

/** The events of an account as a whole. Only its endpoints are sent them, by their names or `*`. */
export const accountEvents = ['budget.threshold', 'balance.low', 'webhook.disabled'] as const

/** What a subscription without a list of events means; `created` and `starting` must be named. */
export const defaultEvents: readonly PredictionEventName[] = [
  'prediction.started',
  'prediction.succeeded',
  'prediction.failed',
  'prediction.cancelled',
]

/** Other spellings that clients send on create; they are kept as sent and mean these. */
const eventAliases: ReadonlyMap<string, PredictionEventName> = new Map([
  ['started', 'prediction.started'],
  ['completed', 'prediction.succeeded'],
  ['succeeded', 'prediction.succeeded'],
  ['failed', 'prediction.failed'],
  ['canceled', 'prediction.cancelled'],
  ['cancelled', 'prediction.cancelled'],
])

/** The event a spelling means, or undefined for an unknown name. */
export function eventOf(spelling: string): PredictionEventName | undefined {
  return predictionEvents.find((name) => name === spelling) ?? eventAliases.get(spelling)
}

/** The event of an account of that name, or undefined for another name. */
export function accountEventOf(name: string): AccountEventName | undefined {
  return accountEvents.find((event) => event === name)
}

/** Whether a list of subscribed events, in the caller's spelling, covers `event`. `*` covers all that need no opt-in. */
export function subscribes(
  events: readonly string[],
  event: PredictionEventName | AccountEventName,
): boolean {
  const isUsual = [...defaultEvents, ...accountEvents].includes(event)
  if (isUsual && events.includes('*')) return true
  return events.some((spelling) => (eventOf(spelling) ?? spelling) === event)
}

export type PredictionEventName = (typeof predictionEvents)[number]
export type AccountEventName = (typeof accountEvents)[number]
