/** How many chunks with text a streamed answer has. */
export const words = 50

/** How long the host waits before each chunk where the chunks themselves are measured, in milliseconds. */
export const paceMs = 2

/** The body of the request that every way gets: about a kilobyte, and an answer of 50 words is asked for. */
export function chatBody(kind: Kind): string {
  const pace = kind === 'paced' ? `, one every ${paceMs} ms` : ''
  return JSON.stringify({
    model: 'bench',
    messages: [
      { role: 'system', content: 'You answer in plain words. '.repeat(20) },
      { role: 'user', content: 'What is a millrace?' },
      { role: 'assistant', content: 'The channel that leads the water to a mill. '.repeat(5) },
      { role: 'user', content: `Say ${words} words${pace}` },
    ],
    temperature: 0.5,
    ...(kind !== 'json' && { stream: true, stream_options: { include_usage: true } }),
  })
}

/** One JSON document; chunks as fast as they can be written; chunks one at a time. */
export type Kind = 'json' | 'streamed' | 'paced'
