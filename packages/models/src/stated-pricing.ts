import { pricing, timeUnits } from '@millrace/contract/pricing'
import { FormulaFault, readFormula } from '@millrace/ledger/formula'
import type { z } from 'zod'
import { isRecord } from './is-record.ts'
import type { JsonSchema } from './schema.ts'

/** What a model's file says of its price: checked as far as it can be without an input. A misspelt field would be free. */
export const statedPricing = pricing.strict().superRefine((stated, context) => {
  const fault = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
  const { unit, formula, charged_when = [], input_amount, output_amount, criterias = [] } = stated
  const all = [unit, ...criterias.flatMap((criteria) => criteria.unit ?? [])]
  if (formula !== undefined) {
    const problem = problemOf(formula)
    if (problem !== undefined) fault('formula', problem)
  }
  if (charged_when.length > 0 && !all.some((one) => timeUnits.has(one))) {
    fault('charged_when', `needs a unit of time: ${[...timeUnits].join(', ')}`)
  }
  if ((input_amount !== undefined || output_amount !== undefined) && unit !== 'token') {
    fault('unit', 'must be token where there is an input_amount or an output_amount')
  }
})

/** What is wrong with a price for inputs of this kind: fields that there are not, or that hold no number. */
export function pricingFault(
  { criterias = [], formula }: z.output<typeof statedPricing>,
  schema: JsonSchema,
): { path: string; message: string } | undefined {
  const fields = isRecord(schema.properties) ? schema.properties : {}
  const unknown = criterias.findIndex(({ field }) => !Object.hasOwn(fields, field))
  if (unknown !== -1) return { path: `criterias.${unknown}.field`, message: 'is no field of the input' }
  for (const name of formula === undefined ? [] : readFormula(formula).names) {
    if (!name.startsWith('input.')) continue
    const field = fields[name.slice('input.'.length)]
    const types = isRecord(field) ? [field.type].flat() : []
    if (!types.some((type) => type === 'number' || type === 'integer' || type === 'boolean')) {
      return { path: 'formula', message: `${name} is no number of the input` }
    }
  }
  return undefined
}

function problemOf(formula: string): string | undefined {
  try {
    readFormula(formula)
    return undefined
  } catch (error) {
    if (error instanceof FormulaFault) return error.message
    throw error
  }
}
