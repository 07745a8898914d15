import type { HostState } from '@millrace/hosts/hosts'
import type { ModelDescription } from '@millrace/models/description'
import { lackOf } from '@millrace/models/present-model'
import { isAway } from './model-hosts.ts'

/** What keeps a model's predictions from being run, in words for whoever waits; null where nothing does. */
export function hindranceOf(
  model: ModelDescription | undefined,
  { workers, hosts }: { workers: number; hosts: HostState[] },
): string | null {
  if (!model) return 'This model is not there any more.'
  if (workers === 0) {
    const lack = lackOf(model)
    return lack === null ? noWorker : `${noWorker} ${lack}`
  }
  return isAway(hosts, model, workers) ? hostAway : null
}

const noWorker = 'No worker serves this model.'
const hostAway =
  'The host of this model failed again and again, so it is left alone for a while and then asked again.'
