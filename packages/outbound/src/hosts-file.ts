import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { ResolvedAddress } from './addresses.ts'

/** What the hosts file says of a name, as it is now: it is read again when it has changed. */
export function createHosts(path = '/etc/hosts'): (name: string) => Promise<ResolvedAddress[]> {
  let known = { version: '', names: new Map<string, ResolvedAddress[]>() }

  return async (name) => {
    try {
      const { mtimeMs, size, ino } = await stat(path)
      const version = [mtimeMs, size, ino].join()
      if (version !== known.version) known = { version, names: parseHosts(await readFile(path, 'utf8')) }
    } catch {
      return [] // there need not be one
    }
    return known.names.get(name) ?? []
  }
}

function parseHosts(text: string): Map<string, ResolvedAddress[]> {
  const names = new Map<string, ResolvedAddress[]>()
  for (const line of text.split('\n')) {
    const [address = '', ...listed] = line.replace(/#.*/, '').trim().split(/\s+/)
    const family = isIP(address)
    if (family === 0) continue
    for (const name of new Set(listed.map((one) => one.toLowerCase()))) {
      names.set(name, [...(names.get(name) ?? []), { address, family }])
    }
  }
  return names
}
