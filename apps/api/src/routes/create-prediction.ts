import { endpoints } from '@millrace/contract/endpoints'
import { create, waitSecondsOf } from '../create.ts'
import { tellCharge } from '../credits.ts'
import { presentPlaced } from '../lines.ts'
import { answer, route } from '../route.ts'

export const createPrediction = route(endpoints.createPrediction, async (incoming) => {
  const { context, request, response, body, hints } = incoming
  const { row, statusCode } = await create({
    ...incoming,
    body,
    waitSeconds: waitSecondsOf(context, request, body.await),
  })
  const [shown] = await Promise.all([presentPlaced(context, row), tellCharge(context, response, row)])
  const metadata = { ...shown.metadata, ...(hints.length > 0 ? { hints } : {}) }
  return answer(statusCode, { ...shown, metadata })
})
