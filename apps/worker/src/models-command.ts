import { parseArgs } from 'node:util'
import type { CatalogueProblem } from '@millrace/models/assemble-catalogue'
import { loadCatalogue } from '@millrace/models/catalogue'
import { missingVariables } from '@millrace/models/config'
import type { ModelDescription } from '@millrace/models/description'
import { type LiveCatalogue, openCatalogue } from '@millrace/models/live-catalogue'
import { nearest } from '@millrace/models/nearest'
import { variablesOf } from '@millrace/models/variables'
import { orExit, sayAndExit } from '@millrace/process/or-exit'
import { readModelsConfig } from './config.ts'
import { tryModel } from './try-model.ts'

/** `npm run admin -- models …`: the models from the command line, without a database. */
const usage = `npm run admin -- models list
npm run admin -- models check
npm run admin -- models try NAME [-i field=value] [-i field=@file] [--out folder]`

const commands: Record<string, () => Promise<number>> = { list, check, try: tryOne }

const { values: flags, positionals } = readWords()
const [, word = '', name = '', ...stray] = positionals
const command = commands[word]
if (!command || (command === tryOne ? name === '' || stray.length > 0 : positionals.length > 2)) {
  const [more] = command === tryOne ? stray : positionals.slice(2)
  refuse(command && more !== undefined ? `"${more}" is one word too many${fieldHint(more)}.` : '')
}
const config = orExit(readModelsConfig)
process.exitCode = await command().catch(sayAndExit)

function readWords() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        input: { type: 'string', short: 'i', multiple: true, default: [] },
        out: { type: 'string', default: 'output' },
      },
    })
  } catch (error) {
    // Node goes on about words that begin with a dash.
    return refuse(error instanceof Error ? `${error.message.split('. ')[0]}.` : String(error))
  }
}

function refuse(reason: string): never {
  console.error(reason === '' ? usage : `${reason}\n\n${usage}`)
  process.exit(2)
}

function fieldHint(text: string): string {
  return text.includes('=') ? `: a field is given as -i ${text}` : ''
}

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
  console.log(
    `${models.size} models are good; ${['nothing is', 'one thing is'][bad] ?? `${bad} things are`} wrong.`,
  )
  return bad === 0 ? 0 : 1
}

async function tryOne(): Promise<number> {
  const catalogue = await open()
  const model = catalogue.find(name)
  if (!model) {
    for (const problem of catalogue.problems) if (!problem.harmless) console.error(lineOf(problem))
    const meant = nearest(name, catalogue.models.keys())
    const hint = meant === undefined ? 'See: npm run admin -- models list' : `Did you mean "${meant}"?`
    throw new Error(`There is no model "${name}". ${hint}`)
  }
  if (stateOf(model) !== 'ready') throw new Error(`"${name}" cannot be tried: ${stateOf(model)}.`)
  return tryModel(model, flags, config)
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
