import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Problem, run, step } from './steps.mjs'

/** The tests need redis-server (or Valkey). Debian's package is installed when this process may; else it says what to do. */
export async function ensureRedis() {
  if (onPath('redis-server')) return
  const mayInstall = process.getuid?.() === 0 && onPath('apt-get')
  if (!mayInstall) throw new Problem(advice())
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['install', '-y', '--no-install-recommends', 'redis-server']
  await step('Installing redis-server with apt-get', async () => {
    await run('apt-get', install, { env }).catch(async () => {
      await run('apt-get', ['update'], { env }) // a fresh machine has no package lists yet
      await run('apt-get', install, { env })
    })
  }).catch((error) => {
    throw new Problem(`${error.message}\n\n${advice()}`)
  })
}

function advice() {
  const command =
    process.platform === 'darwin'
      ? 'brew install redis'
      : onPath('apt-get')
        ? 'sudo apt-get install redis-server'
        : ''
  return [
    'The tests need redis-server 6.2 or newer (or Valkey under that name), and it is not on the PATH.',
    command
      ? `Install it: ${command}`
      : 'Install the package "redis" or "valkey-compat-redis" of your system.',
    'Only the tests need it; npm start runs without.',
  ].join('\n')
}

function onPath(command) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
