import { z } from 'zod'

/** Reads a line that a command printed. Undefined when it is no event, and so only a log. */
export function commandEvent(line: string): CommandEvent | undefined {
  if (!line.startsWith('{')) {
    return undefined
  }
  try {
    return event.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}

const event = z.discriminatedUnion('event', [
  z.object({ event: z.literal('output'), text: z.string() }),
  z.object({ event: z.literal('log'), text: z.string() }),
  z.object({ event: z.literal('progress'), percent: z.number() }),
  z.object({ event: z.literal('usage'), usage: z.record(z.string(), z.number()) }),
  z.object({
    event: z.literal('file'),
    path: z.string().min(1),
    name: z.string().optional(),
    content_type: z.string().optional(),
  }),
  z.object({ event: z.literal('result'), output: z.unknown() }),
])

/** What a command can say on its stdout; the protocol is told in `@millrace/providers/run-command`. */
export type CommandEvent = z.output<typeof event>
