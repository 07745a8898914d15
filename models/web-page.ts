import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { defineModel } from '@millrace/models/define-model'
import { fetchFile } from '@millrace/outbound/fetch-file'
import { z } from 'zod'
import { guardFromEnvironment, guardSettings } from './web/config.ts'
import { decode } from './web/decode.ts'
import { readPage } from './web/read-page.ts'

const maxBytes = 8 * 1024 * 1024
const timeoutMs = 60_000

export default defineModel({
  namespace: 'web-page',
  name: 'Web page',
  type: 'web',
  description:
    'Fetches a web page and answers its title, text and links. Addresses inside the network are refused; scripts of the page are not run.',
  capabilities: ['web-page-to-text'],
  concurrency: 16,
  environment: guardSettings,
  timeouts: { run: 120 },
  input: z.object({
    url: z.string().max(8192).describe('The address of the page, http or https'),
    links: z.boolean().default(true).describe('Whether the answer lists where the page links to'),
    max_characters: z.int().min(100).max(2_000_000).default(200_000).describe('The longest text to answer'),
  }),
  output: z.object({
    url: z.string().describe('Where the page was, after redirects'),
    content_type: z.string(),
    title: z.string(),
    description: z.string().nullable(),
    language: z.string().nullable(),
    text: z.string(),
    truncated: z.boolean().describe('Whether there is more text'),
    links: z.array(z.object({ url: z.string(), text: z.string() })),
  }),
  setup: () => guardFromEnvironment(),
  async run({ url, links, max_characters }, { state: guard, signal, workDir, log }) {
    await mkdir(workDir, { recursive: true })
    const path = join(workDir, 'page')
    const {
      contentType,
      url: address,
      bytes,
    } = await fetchFile(guard, url, { maxBytes, timeoutMs, signal }, path)
    const type = contentType.split(';')[0]?.trim().toLowerCase() ?? ''
    log(`${bytes} bytes of ${type || 'no stated type'} from ${address}`)
    if (!isText(type))
      throw new Error(`The address holds ${type}, which is no page; fetch it as a file of an input`)
    const content = decode(await readFile(path), contentType)
    const isPage = type === '' || /html|xml/.test(type)
    const page = isPage ? readPage(content, address) : { ...nothing, text: content.trim() }
    return {
      url: address,
      content_type: type,
      ...page,
      text: cut(page.text, max_characters),
      truncated: page.text.length > max_characters,
      links: links ? page.links : [],
    }
  },
})

function isText(type: string): boolean {
  return type === '' || /^text\/|[/+](json|xml|yaml|javascript)$|xhtml/.test(type)
}

/** Not in the middle of a character that JavaScript writes as two. */
function cut(text: string, length: number): string {
  return text.slice(0, length).replace(/[\uD800-\uDBFF]$/, '')
}

const nothing = { title: '', description: null, language: null, links: [] }
