import { basename } from 'node:path'
import { defineModel } from '@millrace/models/define-model'
import { fileInput } from '@millrace/models/schema'
import { createTransport } from 'nodemailer'
import { z } from 'zod'
import { mailSettings } from './mail/config.ts'

const address = z.email()
const addresses = (what: string) => z.array(address).max(50).default([]).describe(what)

export default defineModel({
  namespace: 'send-email',
  name: 'Send email',
  type: 'email',
  description:
    'Sends one mail over the SMTP server of this installation, from its address. It is never sent twice: where nobody knows whether it went, the prediction fails.',
  capabilities: ['email'],
  concurrency: 4,
  requires: ['SMTP_URL'],
  environment: ['SMTP_URL', 'MAIL_FROM'],
  rerun: 'never',
  timeouts: { run: 120 },
  input: z.object({
    to: z.array(address).min(1).max(50).describe('Who gets it'),
    cc: addresses('Who gets a copy'),
    bcc: addresses('Who gets a copy that the others do not see'),
    reply_to: address.optional().describe('Where answers go'),
    subject: z.string().min(1).max(998).describe('The subject'),
    text: z.string().max(1_000_000).optional().describe('The mail as plain text'),
    html: z.string().max(1_000_000).optional().describe('The mail as HTML; with text, readers choose'),
    attachments: z.array(fileInput('A file')).max(10).default([]).describe('Files that go with it'),
  }),
  output: z.object({
    message_id: z.string(),
    accepted: z.array(z.string()).describe('Whom the server took it for'),
    rejected: z.array(z.string()).describe('Whom it refused'),
    response: z.string().describe('What the server said'),
  }),
  setup() {
    const { url, from } = mailSettings()
    return { from, transport: createTransport(url, { disableFileAccess: false, disableUrlAccess: true }) }
  },
  async run({ to, cc, bcc, reply_to, subject, text, html, attachments }, { state, log }) {
    if (text === undefined && html === undefined) throw new Error('text or html is required')
    const sent = await state.transport.sendMail({
      from: state.from,
      to,
      cc,
      bcc,
      subject,
      ...(reply_to === undefined ? {} : { replyTo: reply_to }),
      ...(text === undefined ? {} : { text }),
      ...(html === undefined ? {} : { html }),
      attachments: attachments.map((path) => ({ path, filename: basename(path) })),
    })
    log(sent.response)
    return {
      message_id: sent.messageId,
      accepted: sent.accepted.map(String),
      rejected: sent.rejected.map(String),
      response: sent.response,
    }
  },
})
