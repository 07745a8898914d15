import { endpoints } from '@millrace/contract/endpoints'
import { guideTo } from '../overview/guide.ts'
import { overviewOf } from '../overview/overview.ts'
import { answered, route } from '../route.ts'

export const getOverview = route(endpoints.getOverview, async ({ context, response }) => {
  response.set('cache-control', shortly)
  return overviewOf(context)
})

export const getLlmsTxt = route(endpoints.getLlmsTxt, async ({ context, response }) => {
  response.status(200).set('cache-control', shortly).type('text/plain').send(guideTo(context))
  return answered
})

/** With the header by which agents choose among skills. */
export const getSkill = route(endpoints.getSkill, async ({ context, response }) => {
  const skill = `---\nname: millrace\ndescription: ${description}\n---\n\n${guideTo(context)}`
  response.status(200).set('cache-control', shortly).type('text/markdown').send(skill)
  return answered
})

const description =
  'Run models of all kinds through one API: chat, embeddings, pictures, speech, transcriptions, videos and whatever else is installed here. Use it to call a model, or to run many requests as a batch.'

/** Models come and go while the service runs. */
const shortly = 'public, max-age=60'
