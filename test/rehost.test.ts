import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createGuard } from '@millrace/outbound/guard'
import { isFileValue } from '@millrace/providers/output-parts'
import { Failed, Unavailable } from '@millrace/providers/remote/faults'
import { createRehost } from '@millrace/providers/remote/rehost'
import { expect, onTestFinished, test } from 'vitest'
import { answer, givenRawHost } from './raw-host.ts'
import { temporaryFolder } from './run-model.ts'

/** The rehost of a run at a host with these settings, behind a guard that opens nothing of this machine. */
async function given(settings: object, others: { maxFileBytes?: number; loopback?: boolean } = {}) {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const workDir = join(folder.path, 'work')
  const { loopback = false, ...limits } = others
  const guard = createGuard({ allow: [], loopback })
  const { signal } = new AbortController()
  return { ...createRehost({ workDir, signal, settings, guard, ...limits }), workDir }
}

async function faultOf(kept: Promise<unknown>): Promise<unknown> {
  const fault = await kept.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (fault instanceof Unavailable) return { unavailable: fault.message, ...fault.about }
  if (fault instanceof Failed) return { failed: fault.message, code: fault.code }
  return fault
}

/** A host that has a file at every path. */
function givenFiles() {
  return givenRawHost((socket) => socket.end(answer(200, { 'content-type': 'image/png' }, 'bytes')))
}

test('a file at its own host is kept, wherever that is', async () => {
  const host = await givenFiles()
  const { file, workDir } = await given({ kind: 'http', url: `${host.url}/run` })
  const kept = await file(`${host.url}/out/picture%201.png?sig=1`)
  expect(kept).toEqual({
    $file: expect.stringMatching(/\.png$/),
    name: 'picture 1.png',
    contentType: 'image/png',
  })
  expect(kept.$file.startsWith(workDir)).toBe(true)
  expect(await readFile(kept.$file, 'utf8')).toBe('bytes')
})

test.each(['loopback', '10.0.0.1', '169.254.169.254', '[::1]'])(
  'a file at a closed address that is not its host is refused: %s',
  async (name) => {
    const other = await givenFiles()
    const host = await givenFiles()
    const { file, workDir } = await given({ url: host.url })
    const address = name === 'loopback' ? other.url : `http://${name}`
    const refused = { failed: expect.stringMatching(/cannot be kept/), code: 'INVALID_OUTPUT' }
    expect(await faultOf(file(`${address}/latest`))).toEqual(refused)
    expect(other.asked()).toBe(0)
    expect(await readdir(workDir)).toEqual([])
  },
)

test('the metadata of a cloud stays closed, even as a host', async () => {
  const { file } = await given({ url: 'http://169.254.169.254/run' })
  expect(await faultOf(file('http://169.254.169.254/latest'))).toMatchObject({ code: 'INVALID_OUTPUT' })
})

test('a host cannot lead to a closed address', async () => {
  const inside = await givenFiles()
  const host = await givenRawHost((socket) =>
    socket.end(answer(302, { location: `${inside.url}/secret` }, '')),
  )
  const { file } = await given({ url: host.url })
  expect(await faultOf(file(`${host.url}/out.png`))).toMatchObject({ code: 'INVALID_OUTPUT' })
  expect(inside.asked()).toBe(0)
})

test("a host's key is sent to the host, and not to where it leads", async () => {
  const heard: string[] = []
  const elsewhere = await givenRawHost((socket, _, first) => {
    heard.push(first)
    socket.end(answer(200, {}, 'far'))
  })
  const host = await givenRawHost((socket, _, first) => {
    heard.push(first)
    socket.end(answer(302, { location: `${elsewhere.url}/far` }, ''))
  })
  const settings = {
    url: host.url,
    headers: { 'X-Api-Key': 'key-of-the-host', 'content-type': 'text/plain' },
  }
  const { file } = await given(settings, { loopback: true })
  await file(`${host.url}/out.png`)
  await file(`${elsewhere.url}/out.png`)
  expect(heard.map((text) => /key-of-the-host/.test(text))).toEqual([true, false, false])
})

test('a file that is too large is refused, also as a data URL, and nothing of it stays', async () => {
  const host = await givenFiles()
  const { file, workDir } = await given({ url: host.url }, { maxFileBytes: 4 })
  const refused = { failed: expect.stringMatching(/larger than 4 bytes/), code: 'INVALID_OUTPUT' }
  expect(await faultOf(file(`${host.url}/out.png`))).toEqual(refused)
  expect(await faultOf(file(`data:image/png;base64,${Buffer.from('bytes').toString('base64')}`))).toEqual(
    refused,
  )
  expect(await faultOf(file('data:text/plain,bytes'))).toEqual(refused)
  expect(await readdir(workDir)).toEqual([])
})

test.each([
  ['data:image/png;base64,Ynl0ZXM=', 'output.png', 'image/png', 'bytes'],
  ['data:text/plain;charset=utf-8,by%20tes', 'output.txt', 'text/plain', 'by tes'],
  ['data:audio/x-odd;name=a;BASE64,Ynl0ZXM=', 'output', 'audio/x-odd', 'bytes'],
  ['data:audio/x-odd;base64,Ynl0\nZXM', 'output', 'audio/x-odd', 'bytes'],
  ['data:image/png,%89PNG', 'output.png', 'image/png', Buffer.from([0x89, 0x50, 0x4e, 0x47])],
])('a data URL is a file: %s', async (address, name, contentType, bytes) => {
  const { all } = await given({})
  const kept = await all(address)
  expect(kept).toMatchObject({ name, contentType })
  expect(isFileValue(kept) && (await readFile(kept.$file))).toEqual(Buffer.from(bytes))
})

test.each(['data:image/png', 'data:image/png;base64,aGVs*G8=', 'data:image/png;base64,aGVsb'])(
  'a broken data URL is refused: %s',
  async (address) => {
    const { file } = await given({})
    expect(await faultOf(file(address))).toMatchObject({ code: 'INVALID_OUTPUT' })
  },
)

test('files are kept in the order of the output, and what is no address stays what it is', async () => {
  const host = await givenFiles()
  const { all } = await given({ url: host.url })
  const urls = ['a', 'b', 'c'].map((name) => `${host.url}/${name}.png`)
  const output = {
    images: urls,
    text: `see ${host.url}/a.png`,
    seed: 7,
    none: null,
    local: 'file:///etc/hostname',
  }
  expect(await all(output)).toEqual({
    ...output,
    images: ['a.png', 'b.png', 'c.png'].map((name) => expect.objectContaining({ name })),
  })
})

test.each(['file:///etc/hostname', '/etc/hostname', 'ftp://127.0.0.1/x'])(
  'nothing of this machine is a file of an output: %s',
  async (address) => {
    const { file } = await given({ url: 'file:///etc' })
    expect(await faultOf(file(address))).toMatchObject({ code: 'INVALID_OUTPUT' })
  },
)

test('more files than anybody keeps are refused', async () => {
  const { all } = await given({})
  const refused = { failed: expect.stringMatching(/more than 1000 files/), code: 'INVALID_OUTPUT' }
  expect(await faultOf(all(Array.from({ length: 1001 }, () => 'data:text/plain,x')))).toEqual(refused)
})

test('a file that is gone leaves the work done: whether to do it again is not for the host to say', async () => {
  const host = await givenRawHost((socket) => socket.end(answer(404, {}, '')))
  const { file } = await given({ url: host.url })
  expect(await faultOf(file(`${host.url}/out.png`))).toEqual({
    unavailable: expect.stringMatching(/HTTP 404/),
    uncertain: true,
  })
})
