import { createGuard, type Guard } from '@millrace/outbound/guard'

/** The guard of the service's own calls, from the settings that the service has: which addresses may be asked. */
export function guardFromEnvironment(environment: NodeJS.ProcessEnv = process.env): Guard {
  const list = (text = '') => text.split(',').flatMap((item) => item.trim() || [])
  return createGuard({
    allow: list(environment.OUTBOUND_ALLOW),
    loopback: /^(true|1|yes|on|y|enabled)$/i.test(environment.OUTBOUND_LOOPBACK ?? ''),
    closedPorts: list(environment.OUTBOUND_CLOSED_PORTS).map(Number),
  })
}

/** What `guardFromEnvironment` reads. */
export const guardSettings = ['OUTBOUND_ALLOW', 'OUTBOUND_LOOPBACK', 'OUTBOUND_CLOSED_PORTS']
