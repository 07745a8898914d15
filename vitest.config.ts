import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/harness/servers.ts'],
    pool: 'forks',
    maxWorkers: 3, // on two cores, since most of the time is waiting
    sequence: { shuffle: { files: true, tests: true } },
    // A stuck test is ended; nothing is asserted about time, and a busy machine may be slow.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    env: { NO_COLOR: '1' },
  },
})
