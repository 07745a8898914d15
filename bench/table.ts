import type { Measured } from './run.ts'
import type { Work } from './work.ts'

/** The median of every figure over the rounds, and the rate as a multiple of the first contender's. */
export function summarise(works: Work[], measured: Measured[]): Result[] {
  return works.map(({ name, title, columns, rows }) => ({
    name,
    title,
    columns,
    rows: rows.flatMap((row) => {
      const own = measured.filter((one) => one.work === name && one.row === row.name)
      return own[0] ? [{ name: row.name, figures: medians(own) }] : []
    }),
  }))
}

/** As Markdown. */
export function tableOf(results: Result[]): string {
  return results.map(sectionOf).join('\n\n')
}

function sectionOf({ title, columns, rows }: Result): string {
  const first = rows.length > 1 ? rows[0]?.figures.rate : undefined
  const lines = rows.map(({ name, figures }) => {
    const cells = Object.keys(columns).map((column) => inWords(figures[column] ?? 0))
    if (first !== undefined) cells.push((first / (figures.rate ?? 1)).toFixed(2))
    return `| ${name} | ${cells.join(' | ')} |`
  })
  const header = ['', ...Object.values(columns), ...(first === undefined ? [] : ['the first row is × this'])]
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

const inWords = (value: number) =>
  value < 100 ? value.toFixed(value < 10 ? 2 : 1) : Math.round(value).toLocaleString('en')

/** What came out of one kind of work, its rows in the order of the list. */
export interface Result {
  name: string
  title: string
  columns: Record<string, string>
  rows: { name: string; figures: Record<string, number> }[]
}
