import { endpoints } from '@millrace/contract/endpoints'
import { present } from '@millrace/lifecycle/present'
import { ownPrediction } from '../own-prediction.ts'
import { answer, answered, route } from '../route.ts'
import { streamEvents } from '../stream-events.ts'

export const streamPrediction = route(
  endpoints.streamPrediction,
  async ({ context, caller, params, request, response }) => {
    const row = await ownPrediction(context, caller, params.id)
    if (!/text\/event-stream/i.test(request.get('accept') ?? ''))
      return answer(200, present(row, context.links))
    await streamEvents(context, caller, row, request, response)
    return answered
  },
)
