import echo from '../../../models/echo.ts'

/** Echo, at a price: what becomes of a prediction shows in the books. */
export default { ...echo, namespace: 'paid-echo', pricing: { amount: 0.01, unit: 'prediction' } }
