import { newId } from '@millrace/database/ids'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RemoteService, startRemoteService } from './given-hosts.ts'
import { answering, givenHttpHost } from './given-http-hosts.ts'
import { creditsOf, givenPayer, settled } from './given-payers.ts'
import { untilEnded } from './until-ended.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService({ dispatchers: 0 })
})
afterAll(() => service.stop())

/** A model that costs three credits a run. */
async function givenModel(apis = ['predictions'], answer: unknown = 'served'): Promise<string> {
  const { url } = await givenHttpHost(answering(200, answer))
  const model = `three-${newId()}`
  await service.serve({
    [model]: { apis, pricing: { amount: 3, unit: 'prediction' }, provider: { kind: 'http', url } },
  })
  return model
}

test('a prediction that is waited for tells its charge, and one that is not tells it with its end', async () => {
  const payer = await givenPayer(service, 20)
  const model = await givenModel()

  const waited = await payer.call('POST /v1/predictions', { body: { model, input: {}, await: true } })
  const begun = await payer.call('POST /v1/predictions', { body: { model, input: {} } })
  await untilEnded(payer.call, begun.body.id)
  const ended = await payer.call(`GET /v1/predictions/${begun.body.id}`)

  expect([waited, begun, ended].map(creditsOf)).toEqual([
    ['3', '17'],
    ['0', '17'],
    ['3', '14'],
  ])
  expect(await settled(service, payer)).toEqual({ balance: 14, charges: 2 })
})

test('what is run at once or later tells it in its answer, too', async () => {
  const payer = await givenPayer(service, 20)
  const model = await givenModel()
  const run = (more: object) => payer.call('POST /v1/run', { body: { model, inputs: {}, ...more } })

  const done = await run({})
  const later = await run({ async: true })

  expect([done.status, ...creditsOf(done)]).toEqual([200, '3', '17'])
  expect(done.body).toMatchObject({ _balance_warning: false, _remaining_credits: 17 })
  expect(later).toMatchObject({ status: 202, body: { _balance_warning: false, _remaining_credits: 17 } })
})
