import type { Result } from './table.ts'

/** The rates of every work that several contenders did, as bars: an SVG for light and dark pages. */
export function chartOf(results: Result[]): string {
  const compared = results.filter(({ rows }) => rows.filter(({ figures }) => figures.rate).length > 2)
  const parts: string[] = []
  let y = 0
  for (const result of compared) {
    parts.push(...sectionOf(result, y))
    y += headHeight + result.rows.length * rowHeight + gap
  }
  const title = 'Predictions a second, by work and contender, on one machine in one run'
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img" aria-labelledby="title">`,
    `  <title id="title">${title}</title>`,
    style,
    ...parts.map((part) => `  ${part}`),
    '</svg>',
    '',
  ].join('\n')
}

function sectionOf({ title, rows }: Result, top: number): string[] {
  const longest = Math.max(...rows.map(({ figures }) => figures.rate ?? 0))
  const lines = [`<text class="head" x="0" y="${top + 20}">${escaped(title)}</text>`]
  rows.forEach(({ name, figures }, nth) => {
    const rate = figures.rate ?? 0
    const length = Math.max(1, Math.round((rate / longest) * barWidth))
    const y = top + headHeight + nth * rowHeight
    const kind = name.startsWith('Millrace') ? 'ours' : 'bar'
    const end = labelWidth + length
    lines.push(
      `<text class="name" x="${labelWidth - 10}" y="${y + 15}">${escaped(name)}</text>`,
      `<rect class="${kind}" x="${labelWidth}" y="${y + 3}" width="${length}" height="${rowHeight - 8}" rx="2"/>`,
      `<text class="rate" x="${end + 8}" y="${y + 15}">${Math.round(rate).toLocaleString('en')}</text>`,
    )
  })
  return lines
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

const width = 760
const labelWidth = 190
const barWidth = 490
const headHeight = 32
const rowHeight = 24
const gap = 18

const style = `  <style>
    text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
    .head { font-weight: 600; font-size: 14px }
    .name { text-anchor: end }
    .rate { fill: #57606a }
    .bar { fill: #c5ccd3 }
    .ours { fill: #0b6e4f }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .rate { fill: #9da7b3 }
      .bar { fill: #3d444d }
      .ours { fill: #4cc38a }
    }
  </style>`
