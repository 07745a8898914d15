import { z } from 'zod'

/** `GET /v1`: what a program needs to know to use this installation. */
export const overview = z
  .object({
    base_url: z.string().describe('What stands before the path of a call, with /v1'),
    auth: z.string().describe('How to say who calls'),
    endpoints: z
      .record(
        z.string(),
        z.object({
          method: z.string().describe('Or several, with commas'),
          use_for: z.string().describe('What each of them does, in the same order'),
        }),
      )
      .describe('What can be called, by its path'),
    compatibility: z
      .record(z.string(), z.string())
      .describe('Whose clients work, with the base URL to give them'),
    streaming: z.string().describe('How to have answers while they are made'),
    function_calling: z.string().describe('How models call functions'),
    total_endpoints: z.int().describe('How many models there are'),
  })
  .meta({ id: 'Overview', description: 'The service in short, for programs' })

export type Overview = z.infer<typeof overview>
