import type { Refusal, ResolvedAddress } from '@millrace/outbound/guard'
import { spellingsOf, tunnelsOf } from './address-spellings.ts'

const openNames: Names = {
  'public.test': ['93.184.216.34'],
  'public.test.': ['93.184.216.34'],
  'both.test': ['93.184.216.34', '2606:2800:220:1::1'],
  'mapped-public.test': ['::ffff:93.184.216.34'],
}

const closedNames: Names = {
  localhost: ['127.0.0.1', '::1'],
  'localhost.': ['127.0.0.1', '::1'],
  'loopback.test': ['127.0.0.1'],
  'loopback6.test': ['::1'],
  'private.test': ['10.0.0.1'],
  'metadata.google.internal': ['169.254.169.254'],
  'unspecified.test': ['0.0.0.0'],
  'private-last.test': ['93.184.216.34', '10.0.0.1'],
  'private-first.test': ['10.0.0.1', '93.184.216.34'],
  'a-public-aaaa-private.test': ['93.184.216.34', 'fd12::1'],
  'a-private-aaaa-public.test': ['10.0.0.1', '2606:2800:220:1::1'],
  'one-of-many.test': ['93.184.216.34', '93.184.216.35', '93.184.216.36', '192.168.1.1'],
  'mapped.test': ['::ffff:10.0.0.1'],
  'compatible.test': ['::10.0.0.1'],
  'nat64.test': ['64:ff9b::a00:1'],
  '6to4.test': ['2002:a00:1::1'],
  'teredo.test': ['2001:0:5db8:d822:0:0:f5ff:fffe'],
  'scoped.test': ['fe80::1%lo'],
  'octal.test': ['0177.0.0.1'],
  'short.test': ['127.1'],
  'unreadable.test': ['93.184.216.34', 'not an address'],
  'nothing.test': [],
  unix: ['10.0.0.1'],
}

const closedAddresses = words(`
  127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.1.1 100.64.0.1 0.0.0.0
  169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 192.0.0.192
  224.0.0.1 240.0.0.1 255.255.255.255 192.0.2.1 198.18.0.1
`)

const closedIPv6 = words(`
  [::1] [0:0:0:0:0:0:0:1] [::] [fe80::1] [febf::1] [fec0::1] [fc00::1] [fdff::1] [ff02::1] [ff0e::1]
  [fd00:ec2::254] [fd00:ec2::23] [fd20:ce::254] [2001:db8::1] [3fff::1] [2001:2::1] [2001:10::1] [2001:20::1]
  [100::1] [5f00::1] [4000::1] [1::1] [64:ff9b:1::808:808] [2002:808:808::1] [2001::1]
`)

/** Private targets in URLs that a parser may read in more than one way. */
const oddlyWritten = [
  ...words(`
    http:10.0.0.1 http:/10.0.0.1/ http:///10.0.0.1/ https:10.0.0.1 http://@10.0.0.1/ http://0x/
    http://10.0.0.1#@public.test/ http://10.0.0.1?@public.test/ http://10.0.0.1/@public.test
    http://10.0.0.1:80/ https://10.0.0.1:443/ http://10.0.0.1/?x=http://public.test/
    HTTP://LOCALHOST/ http://loc%61lhost/ http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/ http://①⓪.⓪.⓪.①/
    http://unix:/var/run/docker.sock:/containers/json
  `),
  'http:\\\\10.0.0.1\\',
  'http://10.0.0.1\\@public.test/',
  ' http://10.0.0.1/ ',
  'ht\ntp://10.0.0.1/',
  'http://10.0\t.0.1/',
  'http://loc\u00adalhost/',
]

/** URLs that no outbound call may go to, by the reason that is given. */
export const refusedUrls: readonly (readonly [reason: Refusal['reason'], url: string])[] = Object.entries({
  address: [
    ...closedAddresses.flatMap((address) => [...spellingsOf(address), ...tunnelsOf(address)]).map(inUrl),
    ...[...closedIPv6, ...Object.keys(closedNames), 'missing.test'].map(inUrl),
    ...oddlyWritten,
  ],
  credentials: words(`
    http://user:secret@public.test/ http://user@public.test/ http://:secret@public.test/ http://user:@public.test/
    http://%75ser@public.test/ http://public.test@10.0.0.1/ http://public.test:80@10.0.0.1/ http://a@b@public.test/
    http://10.0.0.1@public.test/ http://10.0.0.1:80@public.test/ http://10.0.0.1;@public.test/
  `),
  scheme: words(`
    ftp://public.test/ file:///etc/passwd gopher://10.0.0.1:6379/_INFO dict://10.0.0.1:11211/ ldap://10.0.0.1/
    ws://public.test/ wss://public.test/ unix:/var/run/docker.sock javascript:fetch("http://10.0.0.1")
    blob:http://10.0.0.1/ jar:http://10.0.0.1!/ tftp://10.0.0.1/x
  `),
  port: words('http://public.test:0/ http://93.184.216.34:0/ http://public.test:5432/'),
  malformed: [
    ...words(`
      public.test/hook //10.0.0.1/ /hook http:// https:// http://[::1/ http://]/ http://[::ffff:10.0.0.1
      http://10.0.0.256/ http://1.2.3.4.5/ http://0x100000000/ http://4294967296/ http://127.0.0.08/
      http://[fe80::1%25eth0]/ http://[10.0.0.1]/ http://10.0.0.1:99999/ http://10.0.0.1:80:80/
      http://%00/ http://public%00.test/ http://public<.test/
    `),
    'http://a b/',
    '',
  ],
} satisfies Record<Exclude<Refusal['reason'], 'unanswered'>, string[]>).flatMap(([reason, urls]) =>
  urls.map((url) => [reason as Refusal['reason'], url] as const),
)

/** URLs that must stay callable, among them the last address before a closed range and the first one after it. */
export const openUrls: readonly string[] = [
  ...spellingsOf('93.184.216.34').map(inUrl),
  ...words(`
    9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
    172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 1.0.0.0
    [2606:2800:220:1::1] [2a00::1] [64:ff9b::5db8:d822] PUBLIC.test ｐｕｂｌｉｃ．test
  `).map(inUrl),
  ...Object.keys(openNames).map(inUrl),
  ...words(`
    https://public.test/ http://public.test:5433/ https://public.test:8443/hook?to=http://10.0.0.1/#@10.0.0.1
    http://public.test/@10.0.0.1/ http://public.test?@10.0.0.1/ http://public.test#@10.0.0.1/
    http://public.test\\@10.0.0.1/
  `),
]

/** A name server that knows the names above and no other. */
export async function resolveAimed(name: string): Promise<ResolvedAddress[]> {
  const addresses = openNames[name] ?? closedNames[name]
  if (!addresses) throw new Error(`ENOTFOUND ${name}`)
  return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
}

function inUrl(host: string): string {
  return `http://${host}/`
}

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}

type Names = Readonly<Record<string, readonly string[]>>
