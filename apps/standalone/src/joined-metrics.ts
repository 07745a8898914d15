/**
 * The metrics of several processes as one Prometheus text: each family once, each sample labelled with the process it
 * is of. A process that does not answer is left out, as Prometheus would see a target that is down.
 */
export async function joinMetrics(sources: MetricsSource[]): Promise<string> {
  const families = new Map<string, Family>()
  const texts = await Promise.all(sources.map(async ({ name, url }) => ({ name, text: await read(url) })))
  for (const { name, text } of texts) addProcess(families, name, text)
  return [...families.values()].map(({ head, samples }) => [...head, ...samples, ''].join('\n')).join('\n')
}

async function read(url: string): Promise<string> {
  return fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
    (response) => response.text(),
    () => '',
  )
}

function addProcess(families: Map<string, Family>, process: string, text: string): void {
  let family: Family | undefined
  for (const line of text.split('\n')) {
    const [, name] = /^# HELP (\S+)/.exec(line) ?? []
    if (name !== undefined) {
      family = families.get(name) ?? { head: [], samples: [] }
      families.set(name, family)
    }
    if (line.startsWith('#')) {
      if (family && !family.head.includes(line)) family.head.push(line)
    } else if (line !== '') {
      family?.samples.push(labelled(line, process))
    }
  }
}

/** `name 1` and `name{a="b"} 1` with one more label. */
function labelled(sample: string, process: string): string {
  const label = `process="${process}"`
  return sample.replace(/^([^\s{]+)(\{)?/, (_, name: string, brace?: string) =>
    brace ? `${name}{${label},` : `${name}{${label}}`,
  )
}

/** A process and where its own metrics are. */
export interface MetricsSource {
  name: string
  url: string
}

interface Family {
  head: string[]
  samples: string[]
}
