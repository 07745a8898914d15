import { parseArgs } from 'node:util'
import type { CatalogueProblem } from '@millrace/models/assemble-catalogue'
import { loadCatalogue } from '@millrace/models/catalogue'
import { missingVariables } from '@millrace/models/config'
import type { ModelDescription } from '@millrace/models/description'
import { type LiveCatalogue, openCatalogue } from '@millrace/models/live-catalogue'
import { variablesOf } from '@millrace/models/variables'
import { orExit, sayAndExit } from '@millrace/process/or-exit'
import { readModelsConfig } from './config.ts'
import { tryModel } from './try-model.ts'

/** `npm run admin -- models …`: the models from the command line, without a database. */
const usage = `npm run admin -- models list
npm run admin -- models check
npm run admin -- models try NAME [-i field=value] [-i field=@file]`

const commands: Record<string, () => Promise<number>> = { list, check, try: tryOne }

const { values: flags, positionals } = orExit(() =>
  parseArgs({
    allowPositionals: true,
    options: { input: { type: 'string', short: 'i', multiple: true, default: [] } },
  }),
)
const command = commands[positionals[1] ?? '']
if (!command) {
  console.error(usage)
  process.exit(2)
}
const config = orExit(readModelsConfig)
process.exitCode = await command().catch(sayAndExit)

async function list(): Promise<number> {
  const catalogue = await open()
  const rows = [...catalogue.models.values()].map((model) => [
    [model.namespace, ...model.aliases].join(', '),
    model.type,
    model.provider.kind,
    model.versionId.slice(0, 12) + (model.version === undefined ? '' : ` (${model.version})`),
    stateOf(model),
  ])
  console.log(tableOf([['MODEL', 'TYPE', 'KIND', 'VERSION', 'STATE'], ...rows]))
  return 0
}

async function check(): Promise<number> {
  const { models, problems } = await loadCatalogue({ dirs: config.modelDirs, testModels: config.testModels })
  for (const problem of problems) console.log(lineOf(problem))
  for (const { file, ...model } of models.values()) {
    const missing = missingVariables(variablesOf(model))
    if (missing.length > 0) console.log(`${file}: note: it is not served without ${missing.join(', ')}`)
  }
  const bad = problems.filter(({ harmless }) => !harmless).length
  console.log(`${models.size} models are good; ${bad === 0 ? 'nothing is' : `${bad} things are`} wrong.`)
  return bad === 0 ? 0 : 1
}

async function tryOne(): Promise<number> {
  const catalogue = await open()
  const name = positionals[2] ?? ''
  const model = catalogue.find(name)
  if (!model) {
    for (const problem of catalogue.problems) console.error(lineOf(problem))
    throw new Error(`There is no model "${name}". See: npm run admin -- models list`)
  }
  if (stateOf(model) !== 'ready') throw new Error(`"${name}" cannot be tried: ${stateOf(model)}.`)
  return tryModel(model, flags.input, config)
}

/** Containers are asked what their models take; then it is not looked any further. */
async function open(): Promise<LiveCatalogue> {
  const catalogue = await openCatalogue({
    dirs: config.modelDirs,
    testModels: config.testModels,
    onProblem: () => undefined,
  })
  catalogue.close()
  return catalogue
}

function stateOf(model: ModelDescription): string {
  const missing = missingVariables(variablesOf(model))
  if (missing.length > 0) return `needs ${missing.join(', ')}`
  return model.statesInput ? 'ready' : 'its container has not told what it takes'
}

/** As compilers say it, so that editors find the place. */
function lineOf({ path, line, reason, harmless }: CatalogueProblem): string {
  return `${path}:${line === undefined ? '' : `${line}:`} ${harmless ? 'note: ' : ''}${reason}`
}

function tableOf(rows: string[][]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
