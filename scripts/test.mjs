// `npm test`: installs what is missing, then runs every check and every test. Node 20 must be able to run this file.
// Arguments go to vitest: `npm test -- test/lifecycle.test.ts`. With `--all` the long ones (`*.long.test.ts`) run, too;
// those that take hours (`*.hours.test.ts`) run where they are named.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureInstalled, root, withCommands } from './install.mjs'
import { giveUp, handOver } from './steps.mjs'
import { ensureRedis, offerFaketime, offerMediaTools } from './system-packages.mjs'

let interrupted = false
process.once('SIGINT', () => {
  interrupted = true
})

try {
  await ensureInstalled({ dev: true })
  await ensureRedis()
  await offerFaketime()
  await offerMediaTools()
  const checks = [await check('biome check', ['biome', 'check']), await check('tsc', ['tsc'])]
  const given = process.argv.slice(2)
  const all = given.includes('--all') || given.some((argument) => argument.includes('.long'))
  const wanted = given.filter((argument) => argument !== '--all')
  const without = [
    ...(all ? [] : ['long']),
    ...(given.some((argument) => argument.includes('.hours')) ? [] : ['hours']),
  ]
  const tests = await runTests([...without.map((kind) => `--exclude=**/*.${kind}.test.ts`), ...wanted])
  const passed = checks.filter(Boolean).length + tests.passed
  const failed = checks.filter((ok) => !ok).length + tests.failed
  console.log(`\n${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
} catch (error) {
  giveUp(error)
}

async function check(name, [command, ...args]) {
  console.log(`\n▸ ${name}`)
  const ok = (await runCommand(command, args)) === 0
  console.log(ok ? `  ✓ ${name}` : `  ✗ ${name} failed`)
  return ok
}

async function runTests(args) {
  console.log('\n▸ vitest')
  const folder = mkdtempSync(join(tmpdir(), 'millrace-report-'))
  const report = join(folder, 'report.json')
  try {
    const code = await runCommand('vitest', [
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile=${report}`,
      ...args,
    ])
    return count(report, code)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A file that could not be loaded counts as one failure, and so does a run that failed without any failed test. */
function count(report, code) {
  let read
  try {
    read = JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return { passed: 0, failed: 1 }
  }
  const broken = read.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(isFailed),
  )
  const failed = read.numFailedTests + broken.length
  return { passed: read.numPassedTests, failed: code !== 0 && failed === 0 ? 1 : failed }
}

function isFailed({ status }) {
  return status === 'failed'
}

async function runCommand(command, args) {
  const code = await handOver(join(root, 'node_modules', '.bin', command), args, {
    cwd: root,
    env: withCommands(),
  })
  if (interrupted) process.exit(130)
  return code
}
