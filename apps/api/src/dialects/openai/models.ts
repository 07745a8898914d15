import type { PresentedModel } from '@millrace/models/present-model'

/** The list as OpenAI's clients read it, with all native fields beside theirs. */
export function inOpenAiShape(models: PresentedModel[]) {
  return {
    object: 'list' as const,
    data: models.map((model) => ({
      ...model,
      id: model.namespace,
      object: 'model' as const,
      created: 0,
      owned_by: model.vendor.slug,
    })),
  }
}

/** The list as Anthropic's clients read it. */
export function inAnthropicShape(models: PresentedModel[]) {
  return {
    data: models.map(({ namespace, name }) => ({
      type: 'model' as const,
      id: namespace,
      display_name: name,
      created_at: '1970-01-01T00:00:00Z',
    })),
    has_more: false,
    first_id: models[0]?.namespace ?? null,
    last_id: models.at(-1)?.namespace ?? null,
  }
}
