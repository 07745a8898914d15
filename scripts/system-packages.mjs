import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Problem, run, step } from './steps.mjs'

/** The tests need redis-server (or Valkey). Debian's package is installed when this process may; else it says what to do. */
export async function ensureRedis() {
  await ensure(redis)
}

/** The tests with workers whose clocks are wrong need faketime; where it cannot be had they are skipped, and this says so. */
export async function offerFaketime() {
  await offer(faketime)
}

/** The benchmark loads with wrk, since a load generator in JavaScript would take the time that is to be measured. */
export async function ensureWrk() {
  await ensure(wrk)
}

/** Two recipes of docs/models.md are programs of Debian's packages; the tests run them as they are written. */
export async function offerMediaTools() {
  for (const tool of [espeak, ffmpeg]) await offer(tool)
}

async function offer(wanted) {
  if (process.platform !== 'linux') return
  await ensure(wanted).catch((error) => {
    if (!(error instanceof Problem)) throw error
    console.log(`\n${error.message}\n`)
  })
}

const redis = {
  command: 'redis-server',
  names: { debian: 'redis-server', homebrew: 'redis', other: '"redis" or "valkey-compat-redis"' },
  need: 'The tests and the benchmark need redis-server 6.2 or newer (or Valkey under that name), and it is not on the PATH.',
  after: 'Only they need it; npm start runs without.',
}

const faketime = {
  command: 'faketime',
  names: { debian: 'faketime', homebrew: 'libfaketime', other: '"libfaketime" or "faketime"' },
  need: 'The tests with workers whose clocks are wrong need faketime, and it is not on the PATH.',
  after: 'Without it these tests are skipped.',
}

const espeak = {
  command: 'espeak-ng',
  names: { debian: 'espeak-ng', homebrew: 'espeak-ng', other: '"espeak-ng"' },
  need: 'The test of the text-to-speech recipe needs espeak-ng, and it is not on the PATH.',
  after: 'Without it this test is skipped.',
}

const ffmpeg = {
  command: 'ffmpeg',
  names: { debian: 'ffmpeg', homebrew: 'ffmpeg', other: '"ffmpeg"' },
  need: 'The test of the video recipe needs ffmpeg, and it is not on the PATH.',
  after: 'Without it this test is skipped.',
}

const wrk = {
  command: 'wrk',
  names: { debian: 'wrk', homebrew: 'wrk', other: '"wrk"' },
  need: 'The benchmark needs wrk, and it is not on the PATH.',
  after: 'Only the benchmark needs it.',
}

async function ensure(wanted) {
  if (onPath(wanted.command)) return
  const mayInstall = process.getuid?.() === 0 && onPath('apt-get')
  if (!mayInstall) throw new Problem(advice(wanted))
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['install', '-y', '--no-install-recommends', wanted.names.debian]
  await step(`Installing ${wanted.command} with apt-get`, async () => {
    await run('apt-get', install, { env }).catch(async () => {
      await run('apt-get', ['update'], { env }) // a fresh machine has no package lists yet
      await run('apt-get', install, { env })
    })
  }).catch((error) => {
    throw new Problem(`${error.message}\n\n${advice(wanted)}`)
  })
}

function advice({ names, need, after }) {
  const command =
    process.platform === 'darwin'
      ? `brew install ${names.homebrew}`
      : onPath('apt-get')
        ? `sudo apt-get install ${names.debian}`
        : ''
  const how = command ? `Install it: ${command}` : `Install the package ${names.other} of your system.`
  return [need, how, after].join('\n')
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
