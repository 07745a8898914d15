import { endpoints } from '@millrace/contract/endpoints'
import { create, waitSecondsOf } from '../create.ts'
import { presentPlaced } from '../lines.ts'
import { answer, route } from '../route.ts'

export const createPrediction = route(endpoints.createPrediction, async (incoming) => {
  const { context, request, body } = incoming
  const { row, statusCode } = await create({
    ...incoming,
    body,
    waitSeconds: waitSecondsOf(context, request, body.await),
  })
  return answer(statusCode, await presentPlaced(context, row))
})
