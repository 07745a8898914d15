import type { Measured } from './run.ts'
import type { Work } from './work.ts'

/** The median of every figure over the rounds, and the rate as a multiple of the first contender's. */
export function summarise(works: Work[], measured: Measured[]): Result[] {
  return works.map(({ name, title, unit, contenders }) => ({
    name,
    title,
    unit,
    rows: contenders.flatMap((contender) => {
      const own = measured.filter((one) => one.work === name && one.contender === contender.name)
      return own[0] ? [{ contender: contender.name, figures: medians(own) }] : []
    }),
  }))
}

/** As Markdown. */
export function tableOf(results: Result[]): string {
  return results.map(sectionOf).join('\n\n')
}

function sectionOf({ title, unit, rows }: Result): string {
  const others = Object.keys(rows[0]?.figures ?? {}).filter((name) => name !== 'rate')
  const best = rows[0]?.figures.rate ?? 1
  const lines = rows.map(({ contender, figures }) => {
    const cells = [figures.rate ?? 0, ...others.map((name) => figures[name] ?? 0)].map(inWords)
    return `| ${contender} | ${cells.join(' | ')} | ${(best / (figures.rate ?? 1)).toFixed(2)} |`
  })
  const header = ['', unit, ...others.map((name) => `${name} (ms)`), 'we are × this']
  return [
    `**${title}**`,
    '',
    `| ${header.join(' | ')} |`,
    `|---|${header
      .slice(1)
      .map(() => '---:|')
      .join('')}`,
    ...lines,
  ].join('\n')
}

function medians(measured: Measured[]): Record<string, number> {
  const names = Object.keys(measured[0]?.figures ?? {})
  return Object.fromEntries(
    names.map((name) => [name, median(measured.map(({ figures }) => figures[name] ?? 0))]),
  )
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
}

const inWords = (value: number) => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'))

/** What came out of one kind of work, the contenders in the order of the list. */
export interface Result {
  name: string
  title: string
  unit: string
  rows: { contender: string; figures: Record<string, number> }[]
}
