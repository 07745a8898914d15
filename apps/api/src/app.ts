import type { RequestListener } from 'node:http'
import type { EndpointDefinition } from '@millrace/contract/endpoint'
import express, { type Express } from 'express'
import { answerErrors, unknownEndpoint } from './answer-error.ts'
import { admit } from './authenticate.ts'
import type { Context } from './context.ts'
import { cors } from './cors.ts'
import { countMessageTokens, createMessage } from './dialects/anthropic/messages.ts'
import { createImage } from './dialects/openai/images.ts'
import { createSpeech } from './dialects/openai/speech.ts'
import { createTranscription } from './dialects/openai/transcriptions.ts'
import * as videos from './dialects/openai/videos.ts'
import { getJob, listJobs } from './dialects/skillboss/jobs.ts'
import { run } from './dialects/skillboss/run.ts'
import { createChatCompletion } from './inference/chat.ts'
import { createEmbeddings } from './inference/embeddings.ts'
import { createResponse } from './inference/responses.ts'
import * as storedChats from './inference/stored-chats.ts'
import * as storedResponses from './inference/stored-responses.ts'
import { letGo } from './let-go.ts'
import { protectReplies } from './protect-replies.ts'
import { meter } from './rates.ts'
import { isForm } from './receive-form.ts'
import { refuseFloods } from './refuse-floods.ts'
import { logRequests, requestId } from './request-log.ts'
import type { Route } from './route.ts'
import * as accounts from './routes/accounts.ts'
import { listActivity } from './routes/activity.ts'
import * as audit from './routes/audit.ts'
import { cancelBatch, createBatch, getBatch, listBatches } from './routes/batches.ts'
import * as billing from './routes/billing.ts'
import * as budgets from './routes/budgets.ts'
import { cancelPrediction } from './routes/cancel-prediction.ts'
import { createPrediction } from './routes/create-prediction.ts'
import { deletePrediction } from './routes/delete-prediction.ts'
import { docs } from './routes/docs.ts'
import { downloadFile, getFileContent } from './routes/download-file.ts'
import { exportPredictions } from './routes/export-predictions.ts'
import { deleteFile, getFile, listFiles, uploadFile } from './routes/files.ts'
import { getPrediction } from './routes/get-prediction.ts'
import * as keys from './routes/keys.ts'
import { listDeliveries } from './routes/list-deliveries.ts'
import { listPredictions } from './routes/list-predictions.ts'
import { getModel, getModelHealth, listModels } from './routes/models.ts'
import { getLlmsTxt, getOverview, getSkill } from './routes/overview.ts'
import * as plans from './routes/plans.ts'
import { getStatus, livez, openapi, readyz, root } from './routes/service.ts'
import { streamPrediction } from './routes/stream-prediction.ts'
import { takeCallback } from './routes/take-callback.ts'
import { getUsage } from './routes/usage.ts'
import * as webhooks from './routes/webhooks.ts'

/** Every route of the API. Paths, shapes and errors are in the contract. */
export const routes: readonly Route[] = [
  createPrediction,
  listPredictions,
  exportPredictions,
  getPrediction,
  cancelPrediction,
  deletePrediction,
  streamPrediction,
  listDeliveries,
  listModels,
  getModel,
  getModelHealth,
  createChatCompletion,
  createEmbeddings,
  createMessage,
  countMessageTokens,
  createResponse,
  ...Object.values(storedResponses),
  ...Object.values(storedChats),
  run,
  listJobs,
  getJob,
  createBatch,
  listBatches,
  getBatch,
  cancelBatch,
  uploadFile,
  listFiles,
  getFile,
  getFileContent,
  deleteFile,
  downloadFile,
  takeCallback,
  ...Object.values(webhooks),
  ...Object.values(budgets),
  billing.getBalance,
  billing.listLedger,
  billing.moveCredits,
  billing.refundCharge,
  listActivity,
  getUsage,
  getStatus,
  createImage,
  createSpeech,
  createTranscription,
  ...Object.values(videos),
  ...Object.values(keys),
  ...Object.values(accounts),
  ...Object.values(plans),
  ...Object.values(audit),
  root,
  getOverview,
  getLlmsTxt,
  getSkill,
  livez,
  readyz,
  openapi,
  docs,
]

/** The API on one screen: who goes first, the routes in every spelling that is on, and where errors end. */
export function createApp(context: Context): Express {
  const { config } = context
  const app = express()
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple')
  if (config.TRUST_PROXY !== undefined) app.set('trust proxy', config.TRUST_PROXY)
  app.use(requestId, letGo(context), logRequests(context), protectReplies(config), cors(config.CORS_ORIGINS))
  const readBody = express.raw({ type: () => true, limit: config.MAX_BODY_BYTES })
  // A form streams into the store.
  const readUnlessForm = express.raw({ type: (request) => !isForm(request), limit: config.MAX_BODY_BYTES })
  for (const { endpoint, handle } of routes) {
    for (const { method, path } of spellingsOf(endpoint, config.DIALECTS)) {
      const handlers = [
        ...(endpoint.open ? [] : [admit(context, endpoint), meter(context, endpoint)]),
        ...(endpoint.body || endpoint.anyBody ? [endpoint.formFile ? readUnlessForm : readBody] : []),
        handle(context),
      ]
      app[method](path.replaceAll(/\{(\w+)\}/g, ':$1'), ...handlers)
    }
  }
  app.use(unknownEndpoint, answerErrors(context))
  return app
}

/** What a server answers with: the app, behind what refuses creates while too many wait. */
export function createListener(context: Context): RequestListener {
  const media = [createImage, createSpeech, createTranscription, videos.createVideo]
  const creates = [createPrediction, run, ...media].flatMap(({ endpoint }) =>
    spellingsOf(endpoint, context.config.DIALECTS).map(({ path }) => path),
  )
  return refuseFloods(context, creates, createApp(context))
}

/** The endpoint and its aliases, as far as their dialects are on. */
function spellingsOf(endpoint: EndpointDefinition, dialects: readonly string[]): Spelling[] {
  const spellings: Spelling[] = [endpoint, ...(endpoint.aliases ?? [])]
  return spellings.filter(({ dialect }) => dialect === undefined || dialects.includes(dialect))
}

type Spelling = Pick<NonNullable<EndpointDefinition['aliases']>[number], 'method' | 'path' | 'dialect'>
