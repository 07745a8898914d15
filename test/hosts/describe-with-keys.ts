import { describeSettings, type ModelDescription } from '@millrace/models/description'

/** A model at a host that takes these keys. A file may not hold them, and a fake has no environment to name. */
export function describeWithKeys(
  file: string,
  stated: { provider: object } & Record<string, unknown>,
  names: readonly string[],
): ModelDescription {
  const keys = Object.entries(stated.provider).filter(([name]) => names.includes(name))
  const unkeyed = { ...stated.provider, ...Object.fromEntries(keys.map(([name]) => [name, 'none'])) }
  const described = describeSettings(file, { ...stated, provider: unkeyed })
  return { ...described, provider: Object.assign(described.provider, Object.fromEntries(keys)) }
}
