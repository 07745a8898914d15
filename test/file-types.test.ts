import { extensionOf, typeOfName, usualType } from '@millrace/media/file-types'
import { mediaTypeOfBytes } from '@millrace/media/type-of-bytes'
import { expect, test } from 'vitest'

test.each([
  ['image/jpeg', '.jpg'],
  ['image/jpg', '.jpg'],
  ['Image/PNG; q=1', '.png'],
  ['audio/ogg', '.ogg'],
  ['audio/x-wav', '.wav'],
  ['text/plain;charset=utf-8', '.txt'],
  ['image/bmp', '.bmp'],
  ['audio/x-odd', ''],
  ['application/octet-stream', ''],
  ['', ''],
])('files of the type %j are called %j', (type, extension) => {
  expect(extensionOf(type)).toBe(extension)
})

test.each([
  ['picture.PNG', 'image/png'],
  ['a.tar.zip', 'application/zip'],
  ['speech.opus', 'audio/ogg'],
  ['page.html', undefined],
  ['json', undefined],
])('a file called %j is %j', (name, type) => {
  expect(typeOfName(name)).toBe(type)
})

test.each(['image/png', 'audio/mpeg', 'video/webm', 'text/csv'])('%s has a name whose type it is', (type) => {
  expect(typeOfName(`x${extensionOf(type)}`)).toBe(usualType(type))
})

test.each([
  ['89504e470d0a1a0a0000000d49484452000000010000000108020000009077533d', 'image/png'],
  ['ffd8ffe000104a46', 'image/jpeg'],
  ['524946462400000057415645666d7420', 'audio/wav'],
  [`494433040000000f7f76${'00'.repeat(60)}`, 'audio/mpeg'],
  ['0000002066747970', undefined],
  ['3c3f786d6c2076657273696f6e3d22312e30223f3e', undefined],
  ['504b030414', undefined],
  ['', undefined],
])('what begins with %s is %j', async (hex, type) => {
  expect(await mediaTypeOfBytes(Buffer.from(hex, 'hex'))).toBe(type)
})
