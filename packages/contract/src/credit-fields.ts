import { z } from 'zod'

/** What answers tell of the money of their account, beside the answer itself. */
export const creditFields = {
  _balance_warning: z
    .boolean()
    .optional()
    .describe('Whether the credits of the account are below what the operator warns at'),
  _remaining_credits: z
    .number()
    .optional()
    .describe('What the account has when this is charged, in credits. In a stream it is with the tokens'),
}
