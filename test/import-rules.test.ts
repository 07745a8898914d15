import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

test.each([
  ['packages/contract', 'the database from the contract', `import '@millrace/database/connect'`],
  ['packages/lifecycle', 'an app from a package', `import '@millrace/api/app'`],
  ['apps/api', 'another app from an app', `import '@millrace/worker/run'`],
  ['apps/api', 'bullmq outside the queue', `import 'bullmq'`],
  ['packages/providers', 'the database from a provider', `import '@millrace/database/connect'`],
  ['apps/api', 'another workspace by its path', `import '../../../packages/keys/src/seal.ts'`],
  ['packages/keys', 'the environment outside a config.ts', `export const secret = process.env.SECRET`],
])('in %s the linter refuses %s', async (workspace, _what, line) => {
  const { refused } = await lint(workspace, `${line}\n`)
  expect(refused).toBe(true)
})

test('the linter accepts an import that the workspace declares', async () => {
  const { refused, output } = await lint('packages/lifecycle', `import '@millrace/database/connect'\n`)
  expect(output).not.toMatch(/lint\//)
  expect(refused).toBe(false)
})

/** Lints one line as a file of that workspace. */
async function lint(workspace: string, text: string): Promise<{ refused: boolean; output: string }> {
  const folder = await mkdtemp(join(root, workspace, 'src', 'lint-probe-'))
  const file = join(folder, 'probe.ts')
  try {
    await writeFile(file, text)
    const biome = join(root, 'node_modules/.bin/biome')
    const { status, stdout, stderr } = spawnSync(biome, ['lint', file], { cwd: root, encoding: 'utf8' })
    return { refused: status !== 0, output: stdout + stderr }
  } finally {
    await rm(folder, { recursive: true })
  }
}
