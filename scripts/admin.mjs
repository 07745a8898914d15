// `npm run admin -- …`: models need no database, and belong to the worker, which runs them; the rest is the api's.
const program = process.argv[2] === 'models' ? 'apps/worker/src/models-command.ts' : 'apps/api/src/admin.ts'
await import(new URL(`../${program}`, import.meta.url).href)
