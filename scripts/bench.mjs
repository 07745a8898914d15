// `npm run bench`: installs what is missing, then measures. Node 20 must be able to run this file.
// Arguments go to bench/run.ts: `npm run bench -- --only life --rounds 1`.
import { runProgram } from './run-program.mjs'
import { ensureRedis, ensureWrk } from './system-packages.mjs'

await runProgram('bench/run.ts', [ensureRedis, ensureWrk])
