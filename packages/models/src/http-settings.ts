import { z } from 'zod'
import { templateFault } from './template.ts'

/** JSON in which strings may be templates whose paths start at one of these names. */
function template(...roots: string[]) {
  return z.unknown().superRefine((value, { addIssue }) => {
    const fault = templateFault(value, roots)
    if (fault) addIssue(fault)
  })
}

function textTemplate(...roots: string[]) {
  return z.string().superRefine((value, { addIssue }) => {
    const fault = templateFault(value, roots)
    if (fault) addIssue(fault)
  })
}

/** The host is what stands before the first `/`: no input may have a say in that. */
const url = textTemplate('input', 'run').regex(
  /^(https?:\/\/|\$\{)(?:(?!\{\{)[^/?#])+($|[/?#])/,
  'must start with http:// or https://, or be a variable, and may hold {{ }} only after its host',
)

const words = z.array(z.string()).min(1).optional()

/** What is read from an answer; `body` is the answer. */
function reading(...roots: string[]) {
  return {
    /** The whole answer where it is not stated. */
    output: template('body', 'input', 'run', ...roots).optional(),
    /** Where this comes to something, the model has failed, and these are its words. */
    error: template('body', ...roots).optional(),
    progress: textTemplate('body', ...roots).optional(),
    /** What `progress` is at the end. */
    progress_of: z.number().positive().default(100),
    logs: textTemplate('body', ...roots).optional(),
  }
}

/** How the state of a job is read from an answer. What is in none of the lists of words is a job at work. */
function job() {
  return {
    ...reading('job'),
    /** Where it is not stated, an output is success, and an error failure. */
    status: textTemplate('body', 'job').optional(),
    waiting: words,
    succeeded: words,
    failed: words,
  }
}

const address = textTemplate('job', 'input', 'run')

/** What the settings of the kind `http` may say beside its name. The templates are explained in `template.ts`. */
export const httpParts = {
  url,
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH']).default('POST'),
  headers: z.record(z.string(), z.string()).default({}),
  /** The body, or with GET the query. The whole input where it is not stated. */
  request: template('input', 'run', 'callback').optional(),
  /** How a file of the input is passed: by its URL where it has one that the host can reach, else always as its bytes. */
  files: z.enum(['url', 'data', 'base64']).default('url'),
  response: z
    .strictObject({
      ...reading(),
      /** An answer of `text/event-stream`, or of JSON lines: `body` is one event, or line, after the other. */
      stream: z.strictObject({ delta: textTemplate('body') }).optional(),
    })
    .prefault({}),
  /** The answer is a job (`job` in these templates), whose end is asked for. */
  poll: z
    .strictObject({
      ...job(),
      /** Against `url`, and at its host. */
      url: address,
      every_seconds: z.number().min(0.01).max(3600).default(1),
      cancel: z
        .strictObject({
          url: address,
          method: z.enum(['POST', 'PUT', 'DELETE', 'GET']).default('POST'),
          request: template('job', 'run').optional(),
        })
        .optional(),
    })
    .optional(),
  /** The host posts to `{{ callback.url }}` of the request when it is done; `body` is what it posts. */
  callback: z.strictObject(job()).optional(),
}
