import { readFile, writeFile } from 'node:fs/promises'
import { scenarios } from './all.ts'
import type { Outcome } from './play.ts'

// Writes the figures of the last `npm run faults` into docs/guarantees.md.
const page = new URL('../../docs/guarantees.md', import.meta.url)
const results: Record<string, Outcome & { seconds: number }> = JSON.parse(
  await readFile(new URL('../../.faults/results.json', import.meta.url), 'utf8'),
)
const rows = scenarios.flatMap(({ name, fault, outcome, queues = ['redis', 'postgres'] }) =>
  queues.map((queue) => {
    const result = results[`${name} (${queue})`]
    return `| ${fault} (\`${name}\`) | ${outcome} | ${queue} | ${result ? inWords(result) : 'not run at length yet'} |`
  }),
)
const table = ['| fault | outcome | queue | measured |', '|---|---|---|---|', ...rows].join('\n')
const text = await readFile(page, 'utf8')
const [before, rest = ''] = text.split(/(?<=<!-- faults: .* -->\n)/)
await writeFile(page, `${before}${table}\n${rest.slice(rest.indexOf('<!-- /faults -->'))}`)

function inWords({ breaches, figures, seconds }: Outcome & { seconds: number }): string {
  const measured = Object.entries(figures).map(
    ([figure, value]) => `${figure.replaceAll('_', ' ')} ${Math.round(value).toLocaleString('en')}`,
  )
  const verdict = breaches.length === 0 ? 'no breach' : `**${breaches.length} breaches**`
  return [verdict, ...measured, `${seconds} s`].join(', ')
}
