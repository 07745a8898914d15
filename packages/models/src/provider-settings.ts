import { z } from 'zod'
import { httpParts } from './http-settings.ts'

/** Parts of every kind that is reached over HTTP. Strings may hold `${NAME}`: a variable of the worker's environment. */
const host = {
  /** Runs at a time at this host in all workers together, whichever models they are of; the others wait. */
  max_running: z.int().min(1).max(100_000).optional(),
}

const address = z
  .string()
  .regex(/^(https?:\/\/|\$\{)/, 'must start with http:// or https://, or be a variable')

const command = z.strictObject({
  kind: z.literal('command'),
  command: z.array(z.string()).min(1),
  env: z.record(z.string(), z.string()).default({}),
  cwd: z.string().optional(),
  /** The most memory its processes may have together: above it they are killed, and the run fails. */
  memory_mb: z.int().min(16).optional(),
})

const http = z.strictObject({ kind: z.literal('http'), ...httpParts, ...host })

const cog = z.strictObject({
  kind: z.literal('cog'),
  url: address,
  ...host,
})

/** The routes of OpenAI-compatible hosts that make predictions. */
export const openaiSurfaces = ['images', 'speech', 'transcriptions', 'videos'] as const

const openai = z.strictObject({
  kind: z.literal('openai'),
  base_url: address,
  api_key: z.string().optional(),
  model: z.string().optional(),
  /** Which of the host's routes serves the model, where its type and capabilities do not say. */
  surface: z.enum(openaiSurfaces).optional(),
  ...host,
})

const replicate = z.strictObject({
  kind: z.literal('replicate'),
  token: z.string(),
  /** `owner/name`, `owner/name:version`, a version's 64 digits, or `deployments/owner/name`. */
  model: z
    .string()
    .regex(
      /^((deployments\/)?[\w.-]+\/[\w.-]+(:[\w.-]+)?|[0-9a-f]{64}|.*\$\{.*)$/,
      'must be owner/name, owner/name:version or the 64 digits of a version',
    ),
  base_url: address.default('https://api.replicate.com/v1'),
  ...host,
})

const fal = z.strictObject({
  kind: z.literal('fal'),
  key: z.string(),
  /** `owner/app`, and the path below it where it has one. */
  model: z
    .string()
    .regex(/^([\w.-]+(\/[\w.-]+)+|.*\$\{.*)$/, 'must be owner/app or owner/app/path, as in fal-ai/flux/dev'),
  base_url: address.default('https://queue.fal.run'),
  /** Where files are uploaded: fal's own where `base_url` is fal's, else the same host. */
  upload_url: address.optional(),
  ...host,
})

/** Where a model of a `.json` or `.yaml` file runs: one shape for each kind. */
export const providerSettings = z.discriminatedUnion('kind', [command, http, cog, openai, replicate, fal], {
  error: ({ code }) =>
    code === 'invalid_union' ? 'must be one of command, http, cog, openai, replicate, fal' : undefined,
})

/** What those settings come to. */
export type ProviderSettings = z.output<typeof providerSettings>

/** The settings of one kind. */
export type SettingsOf<Kind extends ProviderSettings['kind']> = Extract<ProviderSettings, { kind: Kind }>

/** The kinds that are another machine's, or another process's that is not ours to start. */
export type RemoteKind = Exclude<ProviderSettings['kind'], 'command'>

/** Whether what such a model is given leaves this installation for somebody else's cloud. */
export function isPartner(provider: { kind: string; base_url?: string }): boolean {
  return (
    partnerKinds.has(provider.kind) ||
    /^https?:\/\/([\w.-]+\.)?openai\.com(?=[:/]|$)/i.test(provider.base_url ?? '')
  )
}

const partnerKinds: ReadonlySet<string> = new Set(['replicate', 'fal'])
