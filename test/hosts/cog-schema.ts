/** What a container answers at `/openapi.json`. */
export function cogSchema({ streaming, files }: { streaming: boolean; files: string }): object {
  const chunk = files === 'url' ? { type: 'string', format: 'uri' } : { type: 'string' }
  const output = streaming
    ? {
        title: 'Output',
        type: 'array',
        items: chunk,
        'x-cog-array-type': 'iterator',
        'x-cog-array-display': 'concatenate',
      }
    : { title: 'Output', ...chunk }
  return {
    openapi: '3.0.2',
    info: { title: 'Cog', version: '0.1.0' },
    paths: { '/predictions': { post: { operationId: 'predict_predictions_post' } } },
    components: {
      schemas: {
        Input: { title: 'Input', type: 'object', required: ['do'], properties: inputs },
        Output: output,
        PredictionRequest: { type: 'object', properties: { input: { $ref: '#/components/schemas/Input' } } },
        PredictionResponse: {
          type: 'object',
          properties: { output: { $ref: '#/components/schemas/Output' } },
        },
      },
    },
  }
}

/** The inputs that the predictor has; Cog drops the others without a word. */
export function knownInputs(given: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => name in inputs))
}

/** What is wrong with an input, in the shape of the 422. */
export function inputFaults(given: Record<string, unknown>): object[] {
  if (given.do === undefined) return [fault('do', 'Field required', 'value_error.missing')]
  // Stands for a model that needs what the schema on our side does not ask for.
  if (given.do === 'refuse-input') return [fault('text', 'Field required', 'value_error.missing')]
  return Object.entries(given)
    .filter(([, value]) => typeof value !== 'string')
    .map(([name]) => fault(name, 'Input should be a valid string', 'type_error.string'))
}

function fault(field: string, msg: string, type: string): object {
  return { loc: ['body', 'input', field], msg, type }
}

const inputs: Record<string, object> = {
  do: { title: 'Do', type: 'string', description: 'What to do', 'x-order': 0 },
  text: { title: 'Text', type: 'string', default: '', 'x-order': 1 },
  file: { title: 'File', type: 'string', format: 'uri', 'x-order': 2 },
}
