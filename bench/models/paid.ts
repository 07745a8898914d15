import noop from './noop.ts'

/** The same, at a price. */
export default { ...noop, namespace: 'paid', pricing: { amount: 0.001, unit: 'prediction' } }
