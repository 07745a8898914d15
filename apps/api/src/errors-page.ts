import { type ErrorId, errors, predictionErrorIds } from '@millrace/contract/errors'

/** The text of docs/errors.md, from the table of errors. `npm run docs` writes it; a test fails when it is stale. */
export function errorsPage(): string {
  const ofRuns: readonly string[] = predictionErrorIds
  const ids = Object.keys(errors) as ErrorId[]
  return `${introduction}
## Errors of requests

${table(ids.filter((id) => !ofRuns.includes(id)))}

## Errors of predictions

A prediction that was accepted and then failed is no HTTP error: it is a 2xx answer with \`"status": "failed"\`, the reason in
\`error\` and one of these in \`error_id\`. Only what answers with the result itself, \`POST /v1/run\` and OpenAI's routes for
[pictures, speech and transcriptions](media.md), turns them into the HTTP status named here.

${table(ids.filter((id) => ofRuns.includes(id)))}
`
}

function table(ids: ErrorId[]): string {
  const rows = ids.map((id) => {
    const { status, message, advice, retryable } = errors[id]
    return `| ${status} | \`${id}\` | ${message} | ${advice} | ${retryable ? 'yes' : 'no'} |`
  })
  return [
    '| HTTP | error_id | means | what to do | send the same again |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

const introduction = `<!-- Written by \`npm run docs\` from packages/contract/src/errors.ts. Change it there. -->

# Errors

Every error is JSON of one shape, 404 and 500 included; OpenAI's routes have [OpenAI's](media.md#errors), with the same ids:

\`\`\`json
{
  "status": false,
  "response": "The model or its input is not valid.",
  "error": {
    "http_status": 400,
    "message": "The model or its input is not valid.",
    "details": "input.prompt: is required",
    "error_id": "INVALID_INPUT",
    "request_id": "req_01h455vb4pex5vsknk084sn02q",
    "retryable": false,
    "fields": [{ "path": "input.prompt", "message": "is required" }]
  }
}
\`\`\`

\`error_id\` is for programs and does not change; \`message\` and \`details\` are for people and may. \`retryable\` says whether the
very same request may be sent again. \`request_id\` is in the header \`x-request-id\` and in the service's log, too.

A field of a request that does not exist is no error: it is ignored, and named in the header \`x-ignored-fields\`. Where it looks
like one that does, \`x-did-you-mean\` says which (\`runat=run_at\`), and so does the answer of a create in words: in \`metadata.hints\`,
and of \`POST /v1/run\` in \`_tip\`. A batch names them in its \`errors\`. Inside \`input\` the schema of the model decides.
`
