// `npm run faults`: installs what is missing, then breaks the service at length. Node 20 must be able to run this file.
// Arguments go to test/faults/run.ts: `npm run faults -- --only kill-worker`.
import { runProgram } from './run-program.mjs'
import { ensureRedis, offerFaketime } from './system-packages.mjs'

await runProgram('test/faults/run.ts', [ensureRedis, offerFaketime])
