import { extensionOf } from '@millrace/media/file-types'
import { fileFields, replaceFiles } from '@millrace/models/file-fields'
import type { Scope } from '@millrace/models/template'
import { Unavailable } from './faults.ts'
import { createAnswerTeller, failureOf, outputOf } from './http-answer.ts'
import { performJob } from './http-job.ts'
import { passedInput, questionOf } from './http-request.ts'
import { isStream, readStream } from './http-stream.ts'
import type { Call, Kind } from './open-remote.ts'

/**
 * Any JSON endpoint. Its description maps the request and the answer by templates; where it says nothing, the input is
 * the body and the answer is the output. It answers when it is done, or names a job that is asked for (`poll`), or posts
 * the end to an address of ours (`callback`).
 */
export const http: Kind<'http'> = {
  wants: 'addresses',
  async perform(call) {
    const { settings, description, rehost } = call
    const scope = await scopeOf(call)
    const { poll, callback } = settings
    if (!poll && callback && !call.callback)
      throw new Unavailable(
        'Its host reports to an address of this installation, and there is none: see PUBLIC_URL.',
      )
    const output = poll || callback ? await performJob(call, scope) : await askOnce(call, scope)
    return keepFiles(output, description.output_schema, rehost)
  },
}

async function scopeOf(call: Call<'http'>): Promise<Scope> {
  const { id, attempt, callback, rehost } = call
  return {
    input: await passedInput(call, rehost),
    run: { id, attempt },
    callback: callback ? { url: callback.url } : undefined,
  }
}

async function askOnce(call: Call<'http'>, scope: Scope): Promise<unknown> {
  const { settings, ask, emit, rehost } = call
  emit({ kind: 'ready' })
  const opened = await ask.open({ ...questionOf({ settings, scope }), patient: true })
  if (settings.response.stream && isStream(opened)) return readStream(opened, scope, call)
  const { bytes, body, headers } = await opened.whole()
  // Neither JSON nor text: the answer is the file itself.
  const type = headers['content-type']?.split(';')[0] ?? ''
  const at = {
    ...scope,
    body: body === undefined ? await rehost.save(bytes, `output${extensionOf(type)}`, type) : body,
  }
  const failure = failureOf(settings.response, at)
  if (failure) throw failure
  createAnswerTeller(settings.response, emit)(at)
  return outputOf(settings.response, at)
}

/** Files are the strings that the schema marks `format: uri`; where the model states none, all that are addresses. */
async function keepFiles(
  output: unknown,
  schema: Record<string, unknown>,
  rehost: Call['rehost'],
): Promise<unknown> {
  if (Object.keys(schema).length === 0) return rehost.all(output)
  const kept: { path: (string | number)[]; value: unknown }[] = []
  for (const { path, url } of fileFields(schema, output)) {
    // Under a name, as the whole output may be one address.
    kept.push({ path: ['output', ...path], value: await rehost.file(url) })
  }
  return replaceFiles({ output }, kept).output
}
