import { writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { openProvider } from '@millrace/providers/open-provider'
import { SMTPServer } from 'smtp-server'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { shippedModel, startRun, temporaryFolder } from './run-model.ts'

afterEach(() => void vi.unstubAllEnvs())

test('a mail arrives with its text, its HTML and its files, from the address of this installation', async () => {
  const { mails, url } = await givenMailServer()
  vi.stubEnv('SMTP_URL', url)
  vi.stubEnv('MAIL_FROM', 'The mill <mill@example.com>')
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'notes.txt')
  await writeFile(path, 'the wheel turns')

  const sent = await send({
    to: ['ada@example.com', 'ben@example.com'],
    bcc: ['eve@example.com'],
    subject: 'Grüße vom Mühlrad',
    text: 'It turns.',
    html: '<p>It turns.</p>',
    attachments: [path],
  })

  expect(sent).toMatchObject({
    output: { accepted: ['ada@example.com', 'ben@example.com', 'eve@example.com'], rejected: [] },
  })
  expect(mails).toHaveLength(1)
  const [mail] = mails
  expect(mail?.from).toBe('mill@example.com')
  expect(mail?.to).toEqual(['ada@example.com', 'ben@example.com', 'eve@example.com'])
  expect(mail?.content).toContain('From: The mill <mill@example.com>')
  expect(mail?.content).toContain('notes.txt')
  expect(mail?.content).toContain(Buffer.from('the wheel turns').toString('base64'))
  expect(mail?.content, 'nobody sees who got it in secret').not.toContain('eve@example.com')
})

test('a line break in a subject adds no header', async () => {
  const { mails, url } = await givenMailServer()
  vi.stubEnv('SMTP_URL', url)
  vi.stubEnv('MAIL_FROM', 'mill@example.com')
  await send({ to: ['ada@example.com'], subject: 'hello\r\nBcc: eve@example.com', text: 'x' })
  expect(mails[0]?.to).toEqual(['ada@example.com'])
  expect(mails[0]?.content).not.toMatch(/^Bcc:/im)
})

test('a mail that the server refuses fails with what the server said', async () => {
  const { url } = await givenMailServer({ refuse: 'No such mailbox' })
  vi.stubEnv('SMTP_URL', url)
  vi.stubEnv('MAIL_FROM', 'mill@example.com')
  expect(await send({ to: ['nobody@example.com'], subject: 'x', text: 'x' })).toMatchObject({
    kind: 'failed',
    detail: expect.stringContaining('No such mailbox'),
  })
})

test('without text there is nothing to send', async () => {
  const { mails, url } = await givenMailServer()
  vi.stubEnv('SMTP_URL', url)
  vi.stubEnv('MAIL_FROM', 'mill@example.com')
  expect(await send({ to: ['ada@example.com'], subject: 'x' })).toMatchObject({
    kind: 'failed',
    detail: 'text or html is required',
  })
  expect(mails).toEqual([])
})

test.each([
  ['no server', '', /SMTP_URL must be/],
  ['a server of another kind', 'http://localhost', /SMTP_URL must be/],
  ['nobody to send from', 'smtp://localhost', /MAIL_FROM must name/],
])('settings with %s are told', async (_what, url, why) => {
  vi.stubEnv('SMTP_URL', url)
  vi.stubEnv('MAIL_FROM', '')
  expect(await send({ to: ['ada@example.com'], subject: 'x', text: 'x' })).toMatchObject({
    kind: 'failed',
    detail: expect.stringMatching(why),
  })
})

test('a mail is never sent again when nobody knows whether it went, and needs SMTP_URL', async () => {
  expect(await shippedModel('send-email')).toMatchObject({ rerun: 'never', requires: ['SMTP_URL'] })
})

/** Runs the model; attachments are paths, as a worker has them. */
async function send({ attachments, ...input }: Record<string, unknown>): Promise<unknown> {
  await using folder = await temporaryFolder()
  const description = await shippedModel('send-email')
  const provider = openProvider(description)
  const run: typeof provider.run = (request) =>
    provider.run({ ...request, input: { ...request.input, ...(attachments ? { attachments } : {}) } })
  try {
    return await startRun({ ...provider, run }, description, input, folder.path).outcome
  } finally {
    await provider.close()
  }
}

async function givenMailServer({ refuse }: { refuse?: string } = {}) {
  const mails: { from: string; to: string[]; content: string }[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo: (_address, _session, done) => done(refuse === undefined ? undefined : new Error(refuse)),
    onData(stream, { envelope }, done) {
      text(stream).then((content) => {
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
        mails.push({ from, to: envelope.rcptTo.map(({ address }) => address), content })
        done()
      }, done)
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())))
  return { mails, url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}` }
}
