import type { FileValue } from '@millrace/models/define-model'
import type { RemoteModel } from '../open-remote.ts'

/** Files as the model's output schema has them: one alone is itself, unless that says that there is a list. */
export function asDeclared(files: FileValue[], { output_schema }: RemoteModel): FileValue | FileValue[] {
  const [only] = files
  return only && files.length === 1 && output_schema.type !== 'array' ? only : files
}
