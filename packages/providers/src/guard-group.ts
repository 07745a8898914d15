import { whenGone } from '@millrace/process/when-gone'

/**
 * Has the process group of `leader` killed when this process is gone; a leader that was killed in the same instant
 * cannot see to it either. Answers how to call it off, once the group is gone.
 */
export function guardGroup(leader: number | undefined): () => void {
  return leader === undefined ? () => undefined : whenGone('kill -s KILL -- "-$1"', String(leader)).callOff
}
