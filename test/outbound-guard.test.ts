import type { LookupAddress } from 'node:dns'
import { createGuard, type Guard, RefusedTargetError } from '@millrace/outbound/guard'
import { expect, test } from 'vitest'

const everything = ['0.0.0.0/0', '::/0']
const guard = createGuard({ allow: [], loopback: false, resolve: resolveTo('93.184.216.34') })

test.each([
  'http://93.184.216.34/',
  'https://[2606:2800:220:1::1]:8443/x',
  'http://example.com/hook',
  'http://[::ffff:8.8.8.8]/',
  'http://[64:ff9b::808:808]/',
])('a public target is allowed: %s', async (url) => {
  expect(await guard.check(url)).toBeUndefined()
})

test.each([
  ['loopback', ['127.0.0.1', '127.255.255.254', '[::1]']],
  ['private', ['10.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1']],
  ['link-local', ['169.254.0.1', '169.254.169.254', '[fe80::1]', '[febf::1]']],
  ['carrier NAT', ['100.64.0.1', '100.127.255.255', '100.100.100.200']],
  ['unspecified', ['0.0.0.0', '0.1.2.3', '[::]']],
  ['multicast', ['224.0.0.1', '239.255.255.255', '[ff02::1]']],
  ['broadcast and reserved', ['255.255.255.255', '240.0.0.1', '192.0.0.1']],
  ['documentation', ['192.0.2.1', '198.51.100.1', '203.0.113.1', '[2001:db8::1]', '[3fff::1]']],
  ['benchmark', ['198.18.0.1', '198.19.255.255', '[2001:2::1]']],
  [
    'IPv4-mapped',
    ['[::ffff:127.0.0.1]', '[::ffff:10.0.0.1]', '[::ffff:a9fe:a9fe]', '[0:0:0:0:0:ffff:c0a8:1]'],
  ],
  ['IPv4-compatible and translated', ['[::127.0.0.1]', '[::a00:1]', '[::ffff:0:7f00:1]']],
  ['NAT64', ['[64:ff9b::127.0.0.1]', '[64:ff9b::a00:1]', '[64:ff9b::a9fe:a9fe]', '[64:ff9b:1::808:808]']],
  ['6to4', ['[2002:7f00:1::1]', '[2002:a00:1::]', '[2002:a9fe:a9fe::1]']],
  ['Teredo', ['[2001:0:4136:e378:8000:63bf:80ff:fffe]', '[2001::1]']],
  ['ULA', ['[fc00::1]', '[fd00:ec2::254]', '[fdff:ffff::1]']],
  ['site-local', ['[fec0::1]']],
  ['never given out', ['[4000::1]', '[100::1]', '[5f00::1]']],
  ['metadata at a public address', ['168.63.129.16', '[::ffff:168.63.129.16]', '[64:ff9b::a83f:8110]']],
])('refused as targets: %s', async (_range, hosts) => {
  for (const host of hosts)
    expect(await guard.check(`http://${host}/`), host).toMatchObject({ reason: 'address' })
})

test.each([
  '0177.0.0.1',
  '017700000001',
  '0x7f.0.0.1',
  '0x7f000001',
  '2130706433',
  '127.1',
  '127.0.0.1.',
  '①②⑦.0.0.1',
  '%31%32%37.0.0.1',
  '0xa9fea9fe',
  '2852039166',
  '0',
])('an address in disguise is refused: %s', async (host) => {
  expect(await guard.check(`http://${host}/`)).toMatchObject({ reason: 'address' })
})

test.each([
  ['http://user:secret@example.com/', 'credentials'],
  ['http://user@example.com/', 'credentials'],
  ['http://:secret@example.com/', 'credentials'],
  ['ftp://example.com/', 'scheme'],
  ['file:///etc/passwd', 'scheme'],
  ['gopher://example.com/', 'scheme'],
  ['unix:/var/run/docker.sock', 'scheme'],
  ['data:text/plain,x', 'scheme'],
  ['http://93.184.216.34:0/', 'port'],
  ['example.com/hook', 'malformed'],
  ['http://', 'malformed'],
  ['http://[::1/', 'malformed'],
  ['', 'malformed'],
])('%s is refused for its %s', async (url, reason) => {
  expect(await guard.check(url)).toMatchObject({ reason })
})

test('a name is refused when any of its addresses is', async () => {
  const mixed = createGuard({ allow: [], loopback: false, resolve: resolveTo('93.184.216.34', '10.0.0.1') })
  expect(await mixed.check('http://example.com/')).toMatchObject({ reason: 'address' })
})

test('a name that does not exist reads exactly like one that resolves to a closed address', async () => {
  const missing = createGuard({
    allow: [],
    loopback: false,
    resolve: () => Promise.reject(new Error('ENOTFOUND')),
  })
  const inner = createGuard({ allow: [], loopback: false, resolve: resolveTo('10.0.0.1') })
  expect(await missing.check('http://a.test/')).toEqual(await inner.check('http://a.test/'))
  expect(await inner.check('http://a.test/')).toEqual(await inner.check('http://10.0.0.1/'))
})

test('loopback is open only when told, localhost included, and opens nothing else', async () => {
  const local = createGuard({ allow: [], loopback: true })
  for (const host of ['127.0.0.1:4000', '[::1]:4000', 'localhost:4000', '[::ffff:127.0.0.1]']) {
    expect(await local.check(`http://${host}/`), host).toBeUndefined()
  }
  for (const host of ['10.0.0.1', '0.0.0.0', '[64:ff9b::7f00:1]', '[::127.0.0.1]', '169.254.169.254']) {
    expect(await local.check(`http://${host}/`), host).toMatchObject({ reason: 'address' })
  }
  const closed = createGuard({ allow: [], loopback: false })
  expect(await closed.check('http://localhost:4000/')).toMatchObject({ reason: 'address' })
})

test('the operator opens ranges, and only those', async () => {
  const opened = createGuard({ allow: ['10.1.0.0/16', 'fd12::/48'], loopback: false })
  for (const host of ['10.1.2.3', '[fd12::5]', '[::ffff:10.1.2.3]']) {
    expect(await opened.check(`http://${host}/`), host).toBeUndefined()
  }
  for (const host of ['10.2.0.1', '[fd12:1::5]', '127.0.0.1', '[64:ff9b::10.1.2.3]']) {
    expect(await opened.check(`http://${host}/`), host).toMatchObject({ reason: 'address' })
  }
})

test.each([
  '169.254.169.254',
  '169.254.170.2',
  '168.63.129.16',
  '100.100.100.200',
  '192.0.0.192',
  '[fd00:ec2::254]',
  '[fd00:ec2::23]',
  '[fd20:ce::254]',
  '[::ffff:169.254.169.254]',
  '[::169.254.169.254]',
  '[64:ff9b::169.254.169.254]',
  '[2002:a9fe:a9fe::1]',
  '[2001:0:a9fe:a9fe::1]',
  '[2001:0:102:304::5601:5601]',
])('the metadata address %s stays closed when everything is opened', async (host) => {
  const opened = createGuard({ allow: everything, loopback: true })
  expect(await opened.check('http://10.0.0.1/')).toBeUndefined()
  expect(await opened.check(`http://${host}/`)).toMatchObject({ reason: 'address' })
})

test('the ports of our own stores are closed on every host', async () => {
  const own = createGuard({ allow: everything, loopback: true, closedPorts: [5432, 443] })
  expect(await own.check('http://127.0.0.1:5432/')).toMatchObject({ reason: 'port' })
  expect(await own.check('https://127.0.0.1/')).toMatchObject({ reason: 'port' })
  expect(await own.check('http://127.0.0.1:5433/')).toBeUndefined()
})

test('a range that cannot be read is named at once', () => {
  expect(() => createGuard({ allow: ['10.0.0.0'], loopback: false })).toThrow('"10.0.0.0" is not a range')
})

test('a socket gets exactly the addresses that were judged', async () => {
  const both = createGuard({
    allow: [],
    loopback: false,
    resolve: resolveTo('93.184.216.34', '2606:2800:220:1::1'),
  })
  expect(await lookUp(both, { all: true })).toEqual([
    { address: '93.184.216.34', family: 4 },
    { address: '2606:2800:220:1::1', family: 6 },
  ])
  expect(await lookUp(both, {})).toBe('93.184.216.34')
})

test('a name that moved to a closed address after the check gets no socket', async () => {
  const answers = ['93.184.216.34', '127.0.0.1']
  const rebound = createGuard({
    allow: [],
    loopback: false,
    resolve: (host) => resolveTo(answers.shift() ?? '')(host),
  })
  expect(await rebound.check('http://rebind.test/')).toBeUndefined()
  await expect(lookUp(rebound, { all: true })).rejects.toThrow(RefusedTargetError)
  expect(answers).toEqual([])
})

function lookUp({ lookup }: Guard, options: { all?: true }): Promise<string | LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup('name.test', options, (error, address) => (error ? reject(error) : resolve(address)))
  })
}

function resolveTo(...addresses: string[]) {
  return async (_host: string) =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
}
