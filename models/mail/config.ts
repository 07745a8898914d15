/** Where mail goes and whom it is from. Throws where SMTP_URL cannot be used. */
export function mailSettings(environment: NodeJS.ProcessEnv = process.env): MailSettings {
  const { SMTP_URL: url = '', MAIL_FROM: from = '' } = environment
  const server = URL.parse(url)
  if (!server || !/^smtps?:$/.test(server.protocol)) {
    throw new Error('SMTP_URL must be smtp://user:password@host:port, or smtps:// for TLS from the start')
  }
  const user = decodeURIComponent(server.username)
  const sender = from || (user.includes('@') ? user : '')
  if (sender === '')
    throw new Error('MAIL_FROM must name the sender, such as Millrace <no-reply@example.com>')
  return { url, from: sender }
}

/** `from` is MAIL_FROM, or the user of SMTP_URL where that is an address. */
export interface MailSettings {
  url: string
  from: string
}
