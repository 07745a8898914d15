/** The six statuses of a prediction; no other value is ever sent. */
export const statuses = ['pending', 'starting', 'processing', 'succeeded', 'failed', 'cancelled'] as const

/** The three that end it: nothing moves a prediction on from these. */
export const terminalStatuses = ['succeeded', 'failed', 'cancelled'] as const

/** Whether nothing will move it any more. */
export function isTerminal(status: Status): status is TerminalStatus {
  return (terminalStatuses as readonly Status[]).includes(status)
}

export type Status = (typeof statuses)[number]
export type TerminalStatus = (typeof terminalStatuses)[number]
