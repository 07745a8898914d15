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

/** What an OpenAI-compatible host may speak for inference. */
export const openaiTongues = ['chat', 'responses', 'embeddings'] as const

const openaiHost = {
  /** The routes of the host, with the `/v1` where it has one. */
  base_url: address,
  api_key: z.string().optional(),
  /** What the host calls the model. */
  model: z.string().optional(),
}

const openai = z.strictObject({
  kind: z.literal('openai'),
  ...openaiHost,
  base_url: address.optional(),
  /** What the hosts themselves speak, where that is not what the model's `apis` say. */
  speaks: z.array(z.enum(openaiTongues)).min(1).optional(),
  /** More hosts of the model, or all of them where there is no `base_url`; each gets requests by its weight. */
  hosts: z
    .array(z.strictObject({ ...openaiHost, weight: z.number().positive().max(1000).default(1), ...host }))
    .min(1)
    .max(100)
    .optional(),
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
export function isPartner({ kind, base_url, hosts = [] }: PartnerTraits): boolean {
  const addresses = [base_url, ...hosts.map((one) => one.base_url)]
  return partnerKinds.has(kind) || addresses.some((one) => openaiItself.test(one ?? ''))
}

const openaiItself = /^https?:\/\/([\w.-]+\.)?openai\.com(?=[:/]|$)/i

const partnerKinds: ReadonlySet<string> = new Set(['replicate', 'fal'])

interface PartnerTraits {
  kind: string
  base_url?: string | undefined
  hosts?: readonly { base_url: string }[] | undefined
}
