/** The tag, which no client can give, of predictions that a worker has answered by inference; and what each value asks for. */
export const inferenceTag = 'millrace:api'

/** What an inference is asked as: a response in the background, or a call to `/v1/run` that nobody waits for. */
export type InferenceRun = 'responses' | 'run'

/** How a prediction with these tags is run; undefined for one that its model's provider runs. */
export function inferenceRunOf(tags: Readonly<Record<string, string>>): InferenceRun | undefined {
  const value = tags[inferenceTag]
  return value === 'responses' || value === 'run' ? value : undefined
}
