import { createBatcher } from '@millrace/database/batch'
import { sanitise } from '@millrace/database/sanitise'
import fc from 'fast-check'
import { expect, test } from 'vitest'

test('calls that come while a batch is in flight leave together, and an idle call leaves alone', async () => {
  const batches: number[][] = []
  const open = Promise.withResolvers<void>()
  const batcher = createBatcher<number, number>({
    flush: async (items) => {
      batches.push(items)
      await open.promise
      return items.map((item) => item * 2)
    },
  })

  const first = batcher.add(1)
  await new Promise(setImmediate)
  const others = [2, 3, 4].map((item) => batcher.add(item))
  open.resolve()

  expect(await Promise.all([first, ...others])).toEqual([2, 4, 6, 8])
  expect(batches).toEqual([[1], [2, 3, 4]])
})

test('one bad row fails alone, whoever its neighbours are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), async (bad) => {
      const batcher = createBatcher<boolean, string>({
        flush: async (items) => {
          if (items.includes(true)) throw new Error('bad row')
          return items.map(() => 'stored')
        },
        isPoison: () => true,
      })
      const settled = await Promise.allSettled(bad.map((item) => batcher.add(item)))
      expect(settled.map(({ status }) => status === 'rejected')).toEqual(bad)
    }),
  )
})

test('a failure that is nobody’s row fails the whole batch and is not tried again', async () => {
  let flushes = 0
  const batcher = createBatcher<number, number>({
    flush: async () => {
      flushes++
      throw new Error('the database is away')
    },
    isPoison: () => false,
  })

  const settled = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)))

  expect(settled.every(({ status }) => status === 'rejected')).toBe(true)
  expect(flushes).toBe(1)
})

test('a heavy item travels alone', async () => {
  const batches: string[][] = []
  const batcher = createBatcher<string, string>({
    flush: async (items) => {
      batches.push(items)
      return items
    },
    weigh: (item) => item.length,
    maxWeight: 10,
  })

  await Promise.all(['aaaa', 'bbbb', 'c'.repeat(50), 'd'].map((item) => batcher.add(item)))

  expect(batches.filter((batch) => batch.includes('c'.repeat(50)))).toEqual([['c'.repeat(50)]])
})

test('sanitised values hold neither NUL nor lone surrogates, at any depth, and keep everything else', () => {
  const text = fc.string({ unit: 'binary' }).map((one) => `${one}\0\ud800`)
  fc.assert(
    fc.property(fc.dictionary(text, fc.oneof(text, fc.integer(), fc.array(text))), (value) => {
      const clean = JSON.stringify(sanitise(value))
      expect(clean).not.toMatch(/\\u0000|\\ud[89a-f]/)
      expect(Object.keys(sanitise({ plain: 1 }))).toEqual(['plain'])
    }),
  )
  expect(sanitise('a\0b')).toBe('a\uFFFDb')
})
