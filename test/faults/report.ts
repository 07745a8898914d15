import { readFile, writeFile } from 'node:fs/promises'
import { scenarios } from './all.ts'
import { inWords, nameOf, readCommit, readResults } from './results.ts'

// Writes the figures of the last `npm run faults` into docs/guarantees.md. Those of another commit say so.
const page = new URL('../../docs/guarantees.md', import.meta.url)
const results = await readResults(new URL('../../.faults/results.json', import.meta.url))
const commit = await readCommit()
const rows = scenarios.flatMap((scenario) =>
  (scenario.queues ?? (['redis', 'postgres'] as const)).map((queue) => {
    const { name, fault, outcome } = scenario
    const result = results[nameOf(scenario, queue)]
    const measured = result ? inWords(result, commit) : 'not run at length yet'
    return `| ${fault} (\`${name}\`) | ${outcome} | ${queue} | ${measured} |`
  }),
)
const table = ['| fault | outcome | queue | measured |', '|---|---|---|---|', ...rows].join('\n')
const text = await readFile(page, 'utf8')
const [before, rest = ''] = text.split(/(?<=<!-- faults: .* -->\n)/)
await writeFile(page, `${before}${table}\n${rest.slice(rest.indexOf('<!-- /faults -->'))}`)
