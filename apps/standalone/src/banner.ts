import { type Config, reachable } from './config.ts'
import { shortPath } from './short-path.ts'
import type { Terminal } from './terminal.ts'

/** What somebody needs to begin: where it is, the ordinary key (the admin key is never shown), and a command to paste. */
export function printBanner({ print, strong, quiet }: Terminal, config: Config, apiKey: string): void {
  const base = `http://${reachable(config.host)}:${config.port}`
  const dataDir = shortPath(config.dataDir)
  const queue = config.redisUrl
    ? ['Redis', 'unset REDIS_URL to queue in PostgreSQL']
    : ['PostgreSQL', 'REDIS_URL=redis://127.0.0.1:6379 npm start for Redis']
  const rows = [
    ['URL', strong(config.publicUrl)],
    ['Docs', `${config.publicUrl}/docs`],
    ['API key', strong(apiKey)],
    ['Queue', `${queue[0]}  ${quiet(`(${queue[1]})`)}`],
    ...(config.outboundLoopback ? openNetwork : closedNetwork).map((text, line) => [
      line === 0 ? 'Outbound' : '',
      line === 0 ? text : quiet(text),
    ]),
    ['Data', dataDir],
    ['Logs', `${dataDir}/millrace.log`],
  ]
  print('')
  print(`  ${strong('Millrace is running')}  ${quiet('Ctrl-C stops it')}`)
  print('')
  for (const [label, value] of rows) print(`  ${quiet((label ?? '').padEnd(9))} ${value}`)
  print('')
  print('  Paste this to make a picture; open the URL under "output" in a browser:')
  print('')
  print(firstRequest(base, apiKey))
  print('')
}

/** One command over several lines, so that it fits the screen and can still be pasted in one go. */
function firstRequest(base: string, apiKey: string): string {
  const body = JSON.stringify({ model: 'doodle', await: true, input: { prompt: 'a mill by a river' } })
  return [
    `curl -sS ${base}/v1/predictions \\`,
    `  -H 'x-api-key: ${apiKey}' \\`,
    `  -H 'content-type: application/json' \\`,
    `  -d '${body}' |`,
    `  node -p 'JSON.stringify(JSON.parse(fs.readFileSync(0)), null, 2)'`,
  ].join('\n')
}

/** What whoever has a key may aim: the whole of it is in docs/operations.md. */
const openNetwork = [
  'webhooks, file inputs and web-page may call this machine itself',
  '(OUTBOUND_LOOPBACK=false closes it; OUTBOUND_ALLOW opens networks)',
]
const closedNetwork = [
  'webhooks, file inputs and web-page may not call this machine',
  '(OUTBOUND_LOOPBACK=true opens it; OUTBOUND_ALLOW opens networks)',
]
