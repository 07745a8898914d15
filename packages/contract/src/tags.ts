/** The parts of the API, as the reference shows them. */
export const tags = {
  Predictions: 'A prediction is one run of a model: created, followed, cancelled, deleted.',
  Models: 'What can be run, what it takes, and how it does.',
  Run: 'Any model in one call, and jobs for what takes longer.',
  Inference: 'Text, pictures, sound and film by the protocols that many clients speak.',
  Batches: 'Many requests in one, with their answers in files.',
  Files: 'What goes into predictions and comes out of them.',
  Webhooks: 'Receivers of all events of an account.',
  Keys: 'API keys, and what each may do.',
  Billing: 'Credits: what there is, what was charged, and budgets.',
  Activity: 'What was asked, what came of it, and what it cost.',
  Admin: 'Accounts, plans and credits, for the operator.',
  Service: 'The service itself.',
  compatibility: 'The same operations under the paths that clients of other services call.',
} as const

export type Tag = Exclude<keyof typeof tags, 'compatibility'>
