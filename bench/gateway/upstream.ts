import { createServer, type ServerResponse } from 'node:http'
import { stamp } from './clock.ts'
import { words } from './conversation.ts'

// A host of a model that needs no time: OpenAI's chat completions on the port that it is given, whole or streamed. Each
// chunk is a write of its own, as a model's would be, and says when it left.
const server = createServer((request, response) => {
  const pieces: Buffer[] = []
  request.on('data', (piece: Buffer) => pieces.push(piece))
  request.on('end', () => {
    if (request.method === 'GET') response.end()
    else answer(Buffer.concat(pieces).toString(), response)
  })
})
server.keepAliveTimeout = 60_000
server.listen(Number(process.argv[2]), '127.0.0.1')

function answer(body: string, response: ServerResponse): void {
  const { stream, messages } = JSON.parse(body) as Asked
  if (stream) {
    const pace = Number(/every (\d+) ms/.exec(messages.at(-1)?.content ?? '')?.[1] ?? 0)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    if (pace > 0) setTimeout(say, pace, response, 1, pace)
    else say(response, 1)
  } else {
    const text = completion()
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': `${Buffer.byteLength(text)}`,
    })
    response.end(text)
  }
}

/** Writes the chunk of this number, and has the next one written: in the next turn, or after so many milliseconds. */
function say(response: ServerResponse, nth: number, pace?: number): void {
  if (response.destroyed) return
  const role = nth === 1 ? '"role":"assistant",' : ''
  const text = chunk(`[{"index":0,"delta":{${role}"content":" ${stamp()}"},${unfinished}}]`)
  // Behind the head a chunk goes straight to the socket, framed here: by way of the response 50 take 0.48 ms, so 0.36.
  if (nth === 1) response.write(text)
  else response.socket?.write(`${text.length.toString(16)}\r\n${text}\r\n`, 'latin1')
  if (nth === words) finish(response)
  else if (pace === undefined) setImmediate(say, response, nth + 1)
  else setTimeout(say, pace, response, nth + 1, pace)
}

function finish(response: ServerResponse): void {
  const end = chunk('[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]')
  response.end(`${end}${chunk(`[],"usage":${usage}`)}data: [DONE]\n\n`)
}

const head = '"created":1700000000,"model":"bench","system_fingerprint":"fp_bench"'
const unfinished = '"logprobs":null,"finish_reason":null'
const usage = `{"prompt_tokens":230,"completion_tokens":${words},"total_tokens":${230 + words}}`

const chunk = (choices: string) =>
  `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk",${head},"choices":${choices}}\n\n`

function completion(): string {
  const content = `${stamp()}${' running-water-word'.repeat(words - 1)}`
  const choice = `{"index":0,"message":{"role":"assistant","content":"${content}","refusal":null},"logprobs":null,"finish_reason":"stop"}`
  return `{"id":"chatcmpl-bench","object":"chat.completion",${head},"choices":[${choice}],"usage":${usage}}`
}

interface Asked {
  stream?: boolean
  messages: { content: string }[]
}
