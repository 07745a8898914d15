import { Parser } from 'htmlparser2'

/**
 * What people read of an HTML page: its title, its text by blocks, and where it links to, all absolute. Read as it
 * comes and without a tree, so that no page is too deep.
 */
export function readPage(html: string, address: string): Page {
  const found: Found = {
    title: '',
    heading: '',
    description: null,
    language: null,
    base: undefined,
    links: [],
  }
  const text: string[] = []
  /** Elements that hide what is in them, and the one whose words are gathered apart. */
  const open = { hidden: 0, pre: 0, title: 0, heading: 0 }
  let link: FoundLink | undefined

  const parser = new Parser({
    onopentag(name, attributes) {
      if (hiding.has(name)) open.hidden += 1
      if (name === 'pre') open.pre += 1
      if (name === 'title') open.title += 1
      if (name === 'h1') open.heading += 1
      if (name === 'html') found.language ||= attributes.lang || null
      if (name === 'base') found.base ??= attributes.href
      if (name === 'meta' && /^(og:)?description$/i.test(attributes.name ?? attributes.property ?? '')) {
        found.description ??= squeezed(attributes.content ?? '')
      }
      if (name === 'a' && attributes.href !== undefined) {
        link = { href: attributes.href, text: '' }
        found.links.push(link)
      }
      if (blocks.has(name) || name === 'br') text.push('\n')
    },
    ontext(words) {
      if (open.title > 0 && open.hidden === 0) found.title += words
      if (open.hidden > 0 || open.title > 0) return
      if (open.heading > 0 && found.heading.length < 1_000) found.heading += words
      if (link) link.text += words
      text.push(open.pre > 0 ? words : words.replaceAll(/\s+/g, ' '))
    },
    onclosetag(name) {
      if (hiding.has(name)) open.hidden -= 1
      if (name === 'pre') open.pre -= 1
      if (name === 'title') open.title -= 1
      if (name === 'h1') open.heading -= 1
      if (name === 'a') link = undefined
      if (blocks.has(name)) text.push('\n')
      else if (name === 'td' || name === 'th') text.push('\t')
    },
  })
  parser.end(html)
  const base = (found.base !== undefined && URL.parse(found.base, address)?.href) || address
  return {
    title: squeezed(found.title) || squeezed(found.heading),
    description: found.description,
    language: found.language,
    text: paragraphs(text.join('')),
    links: linksOf(found.links, base),
  }
}

function linksOf(found: FoundLink[], base: string): Link[] {
  const links = new Map<string, Link>()
  for (const { href, text } of found) {
    const url = URL.parse(href, base)?.href
    if (url === undefined || !/^(https?|mailto):/.test(url)) continue
    const known = links.get(url)
    if (!known) links.set(url, { url, text: squeezed(text) })
    else if (known.text === '') known.text = squeezed(text)
    if (links.size === maxLinks) break
  }
  return [...links.values()]
}

function paragraphs(text: string): string {
  const lines = text.split('\n').map((line) => line.replaceAll(/[^\S\n]+/g, ' ').trim())
  return lines
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim()
}

function squeezed(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}

const hiding = new Set(['script', 'style', 'noscript', 'template', 'svg', 'iframe'])

const blocks = new Set(
  `p div section article header footer nav aside main ul ol li dl dt dd table tr form fieldset blockquote pre
   figure figcaption h1 h2 h3 h4 h5 h6 hr address`.split(/\s+/),
)

const maxLinks = 2_000

/** What is read of a page. */
export interface Page {
  title: string
  description: string | null
  language: string | null
  /** A line for each block. */
  text: string
  /** Each address once. */
  links: Link[]
}

interface Link {
  url: string
  text: string
}

interface Found extends Pick<Page, 'title' | 'description' | 'language'> {
  heading: string
  base: string | undefined
  links: FoundLink[]
}

interface FoundLink {
  href: string
  text: string
}
