import { spawn } from 'node:child_process'

/** Runs `work` and shows what it does and how long it has taken: in place on a terminal, a line now and then elsewhere. */
export async function step(title, work, detail = () => '') {
  const started = Date.now()
  const live = process.stdout.isTTY
  const line = (mark) => {
    const seconds = ((Date.now() - started) / 1000).toFixed(live ? 1 : 0)
    return [`  ${mark} ${title}`, detail(), `${seconds} s`].filter(Boolean).join('  ')
  }
  const show = () => process.stdout.write(live ? `\r\u001b[2K${line('…')}` : `${line('…')}\n`)
  if (live) show()
  const timer = setInterval(show, live ? 250 : 5_000)
  try {
    const result = await work()
    clearInterval(timer)
    process.stdout.write(`${live ? '\r\u001b[2K' : ''}${line('✓')}\n`)
    return result
  } catch (error) {
    clearInterval(timer)
    process.stdout.write(`${live ? '\r\u001b[2K' : ''}${line('✗')}\n`)
    throw error
  }
}

/** Runs a command quietly; when it fails, what it said is the error. */
export async function run(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text))
  const code = await new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Problem(`${command} could not be run: ${error.message}`)))
    child.once('close', resolve)
  })
  if (code !== 0)
    throw new Problem(
      `${command} ${args.join(' ')} failed (${code}):\n${said.trim().split('\n').slice(0, 25).join('\n')}`,
    )
}

/**
 * Hands the terminal over to `command` until it ends and returns its exit code. A terminal's Ctrl-C reaches both
 * processes; stopping is the command's business. A SIGTERM that came to this one is passed on. The channel closes when
 * this process is killed, which tells the command to go as well.
 */
export async function handOver(command, args, { env = process.env, cwd, channel = false } = {}) {
  const child = spawn(command, args, {
    env,
    cwd,
    stdio: ['inherit', 'inherit', 'inherit', ...(channel ? ['ipc'] : [])],
  })
  process.on('SIGINT', () => {})
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill('SIGTERM'))
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

/** Prints a Problem as text and everything else with its stack, and ends the process. */
export function giveUp(error) {
  console.error(error instanceof Problem ? `\n${error.message}` : error)
  process.exit(1)
}

/** Something the person at the terminal can put right. */
export class Problem extends Error {}
