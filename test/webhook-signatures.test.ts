import { createHmac } from 'node:crypto'
import { newSecret, sign } from '@millrace/webhooks/sign'
import { Webhook } from 'standardwebhooks'
import { expect, test } from 'vitest'

const body = '{"type":"prediction.succeeded","data":{"text":"Grüße 🏭"}}'
const message = { id: 'msg_01h455vb4pex5vsknk084sn02q', timestamp: Math.floor(Date.now() / 1000), body }

test('a secret is whsec_ and 32 random bytes', () => {
  const secret = newSecret()
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
  expect(Buffer.from(secret.slice('whsec_'.length), 'base64')).toHaveLength(32)
  expect(newSecret()).not.toBe(secret)
})

test('the standardwebhooks package accepts the signature', () => {
  const secret = newSecret()
  const headers = sign({ ...message, secrets: [secret] })
  expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body))
})

test('the bytes are signed, not the text that they are made from', () => {
  const secret = newSecret()
  expect(sign({ ...message, body: Buffer.from(body), secrets: [secret] })).toEqual(
    sign({ ...message, secrets: [secret] }),
  )
})

test('while a secret is rotated, receivers with the new and with the old one both accept', () => {
  const [current, retiring] = [newSecret(), newSecret()]
  const headers = sign({ ...message, secrets: [current, retiring] })
  expect(headers['webhook-signature'].split(' ')).toHaveLength(2)
  expect(new Webhook(current).verify(body, headers)).toEqual(JSON.parse(body))
  expect(new Webhook(retiring).verify(body, headers)).toEqual(JSON.parse(body))
  expect(() => new Webhook(newSecret()).verify(body, headers)).toThrow('No matching signature')
})

test.each([
  ['body', { 'webhook-id': message.id }, body.replace('succeeded', 'failed')],
  ['id', { 'webhook-id': 'msg_other' }, body],
  ['time', { 'webhook-timestamp': String(message.timestamp - 1) }, body],
])('a changed %s is noticed', (_part, changed, received) => {
  const secret = newSecret()
  const headers = { ...sign({ ...message, secrets: [secret] }), ...changed }
  expect(() => new Webhook(secret).verify(received, headers)).toThrow('No matching signature')
})

test('x-skytells-signature is the hex HMAC of the body alone under the text of the current secret', () => {
  const [current, retiring] = [newSecret(), newSecret()]
  const headers = sign({ ...message, secrets: [current, retiring] })
  expect(headers['x-skytells-signature']).toBe(createHmac('sha256', current).update(body).digest('hex'))
})

test('nothing is ever sent unsigned', () => {
  expect(() => sign({ ...message, secrets: [] })).toThrow('without a secret')
  expect(() => sign({ ...message, secrets: ['sk-mr-not-a-secret'] })).toThrow('whsec_')
})
