import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { expect, onTestFinished, test } from 'vitest'
import { givenClone, openTerminal, type } from './harness/clone.ts'
import { until } from './harness/wait.ts'
import { type Block, blocksOf, freePorts, givenModelServer, save } from './pages.ts'

// PORT is the one variable that is set, and only for `npm start`: 3000 may be taken where the tests run.
test('every block of the README works as it is pasted, from the clone on', { timeout: 120_000 }, async () => {
  const ports = await freePorts()
  const [start, first, follow, chat, receiver, listen, notify, shout, callShout, ...rest] = (await blocksOf(
    'README.md',
    ports,
  )) as Nine
  const [script, described, callScript, flux, callFlux, ...more] = rest as Five
  expect(more).toEqual([])
  const service = await givenClone(start.text, ports[3000])
  const { folder } = service
  await service.up()

  const { status, output } = JSON.parse(await type(first.text, folder))
  expect(status).toBe('succeeded')
  const picture = await fetch(output[0])
  expect((await sharp(await picture.arrayBuffer()).metadata()).format).toBe('png')

  const stream = await type(follow.text, folder)
  const events = [...stream.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name)
  expect(events.filter((name) => name === 'output')).toHaveLength(3)
  expect(events.at(-1)).toBe('done')

  const said = await type(chat.text, folder)
  expect(said.match(/(?<="content":")[^"]+/g)).toEqual(['one', ' two', ' three'])

  await save(receiver, folder)
  const receiving = openTerminal(listen.text, folder)
  onTestFinished(() => receiving.interrupt())
  await answers(`http://localhost:${ports[4000]}/`)
  const { id } = JSON.parse(await type(notify.text, folder))
  await receiving.untilShown(`prediction.succeeded ${id}`)
  expect(receiving.shown().split('\n').slice(0, 2)).toEqual([
    `prediction.started ${id}`,
    `prediction.succeeded ${id}`,
  ])
  for (const signature of ['', `v1,${'A'.repeat(43)}=`, `v1,${'é'.repeat(44)}`]) {
    const headers = {
      'webhook-signature': signature,
      'webhook-timestamp': `${Math.floor(Date.now() / 1000)}`,
    }
    const forged = await fetch(`http://localhost:${ports[4000]}/`, { method: 'POST', headers, body: '{}' })
    expect(forged.status, signature).toBe(401)
  }

  await save(shout, folder)
  for (const block of [script, described, flux]) await save(block, folder)
  const headers = { 'x-api-key': (await readFile(join(folder, '.millrace', 'api-key'), 'utf8')).trim() }
  for (const name of ['shout', 'backwards', 'flux']) {
    const url = `http://localhost:${ports[3000]}/v1/models/${name}`
    await until(async () => (await fetch(url, { headers })).ok, { what: `the model ${name}` })
  }
  expect(JSON.parse(await type(callShout.text, folder))).toMatchObject({
    status: 'succeeded',
    output: 'GOOD! MORNING! ',
  })
  expect(JSON.parse(await type(callScript.text, folder))).toMatchObject({
    status: 'succeeded',
    output: 'doog gninrom ',
  })

  const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#0b6e4f' } })
    .png()
    .toBuffer()
  const gpu = await givenModelServer(ports[8000], 'image/png', png)
  const drawn = JSON.parse(await type(callFlux.text, folder))
  expect(drawn).toMatchObject({ status: 'succeeded', output: [expect.stringContaining('flux.png')] })
  expect(gpu.asked).toEqual([{ prompt: 'a mill by a river', steps: 28 }])
  expect(Buffer.from(await (await fetch(drawn.output[0])).arrayBuffer())).toEqual(png)
})

async function answers(url: string): Promise<void> {
  await until(() => fetch(url, { method: 'POST' }), { what: `${url} to answer` })
}

type Nine = [Block, Block, Block, Block, Block, Block, Block, Block, Block, ...Block[]]
type Five = [Block, Block, Block, Block, Block, ...Block[]]
