import type { ModelDescription, ModelProvider } from '@millrace/models/description'
import { createOutputValidator } from '@millrace/models/validate'
import { ModelProcess } from './model-process.ts'
import { performRun } from './perform-run.ts'
import type { Outcome, Provider, RunRequest } from './provider.ts'
import { createSlots } from './slots.ts'

/**
 * Opens a model for running: one process, started by the first run, shared by up to `concurrency` runs, kept warm for
 * `idleSeconds`, replaced when it dies. Modules and commands live in the same kind of process; the rest wait in turn.
 * An isolated run has a slot like any other and a process of its own, which ends with it.
 */
export function openProcess(
  description: ProcessModel,
  { abortGraceMs = 10_000 }: ProcessOptions = {},
): Provider {
  const validate = createOutputValidator(description)
  const living = new Set<ModelProcess>()
  let current: ModelProcess | undefined
  let idle: NodeJS.Timeout | undefined
  const slots = createSlots(description.concurrency, () => {
    idle = setTimeout(() => current?.end(), description.idleSeconds * 1000).unref()
  })

  function shared(): ModelProcess {
    clearTimeout(idle)
    if (!current || current.ending) {
      current = started()
    }
    return current
  }

  function started(): ModelProcess {
    const child = new ModelProcess(description)
    living.add(child)
    void child.gone.then(() => living.delete(child))
    return child
  }

  async function performAlone(request: RunRequest): Promise<Outcome> {
    const child = started()
    try {
      return await performRun(child, request, { validate, abortGraceMs })
    } finally {
      child.end()
    }
  }

  return {
    kind: description.provider.kind,
    wants: 'paths',
    warm: () => current?.isUp === true,
    async run(request: RunRequest): Promise<Outcome> {
      if (request.signal.aborted || !(await slots.take(request.signal))) {
        return { kind: 'aborted' }
      }
      try {
        // Where one run at a time is taken there are no neighbours, and a second copy of the model helps nobody.
        return request.isolated && description.concurrency > 1
          ? await performAlone(request)
          : await performRun(shared(), request, { validate, abortGraceMs })
      } finally {
        slots.leave()
      }
    },
    async close(): Promise<void> {
      clearTimeout(idle)
      const ending = [...living]
      for (const child of ending) {
        child.end()
      }
      await Promise.all(ending.map((child) => child.gone))
    },
  }
}

/** How long a run may take to stop after its signal before its process is killed. */
export interface ProcessOptions {
  abortGraceMs?: number
}

/** A model that runs on this machine. */
export type ProcessModel = ModelDescription & { provider: ProcessProvider }

/** What its process is started from. */
export type ProcessProvider = Extract<ModelProvider, { kind: 'module' | 'command' }>
