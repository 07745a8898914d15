import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { json } from 'node:stream/consumers'
import { freePort } from '@millrace/standalone/ports'
import { onTestFinished } from 'vitest'

/**
 * The fenced blocks of a page, ready to be pasted. The ports that the pages name (3000, 4000 and 8000) are replaced by
 * those of this test run and nothing else is changed. `console` blocks show what needs more than one machine or another
 * system, and are run, if at all, where that is there; `json` and `text` ones show data.
 */
export async function blocksOf(page: string, ports: Ports): Promise<Block[]> {
  const text = await readFile(new URL(`../${page}`, import.meta.url), 'utf8')
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', source = '']) => {
    const pasted = source.replaceAll(/\b(?:3000|4000|8000)\b/g, (port) => String(ports[port]))
    return { language, text: pasted, file: /^(?:\/\/|#) (\S+\.\w+)\n/.exec(pasted)?.[1] }
  })
}

/** A free port for each that the pages name. */
export async function freePorts(): Promise<Ports> {
  const [api, receiver, model] = await Promise.all([freePort(), freePort(), freePort()])
  return { 3000: api, 4000: receiver, 8000: model }
}

/** Stands for the server on a GPU machine: answers the same to whatever it is asked, until the test ends. */
export async function givenModelServer(port: number | undefined, type: string, body: string | Buffer) {
  const asked: unknown[] = []
  const server = createServer(async (request, response) => {
    asked.push(await json(request))
    response.writeHead(200, { 'content-type': type }).end(body)
  }).listen(port)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { asked }
}

/** Saves a block under the name in its first line. */
export async function save(block: Block, folder: string): Promise<void> {
  if (block.file === undefined) throw new Error(`The block does not say what it is called:\n${block.text}`)
  const path = join(folder, block.file)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, block.text)
}

export interface Block {
  language: string
  text: string
  /** The name in the first line, as a comment: a file to save. */
  file: string | undefined
}

export type Ports = Record<string, number>
