import type { RunEvent } from '../provider.ts'

/** Tells what is new in a log that a host answers whole each time, and the progress that progress bars in it show. */
export function createJobLog(emit: (event: RunEvent) => void): (whole: string) => void {
  const newsOf = createLogNews()
  return (whole) => {
    const fresh = newsOf(whole)
    if (fresh === '') return
    emit({ kind: 'log', text: fresh })
    const percent = percentIn(fresh)
    if (percent !== undefined) emit({ kind: 'progress', percent })
  }
}

/** Answers what is new in a log that comes whole each time. Hosts cut long ones at their start: what stays is not news. */
export function createLogNews(): (whole: string) => string {
  let known = ''
  return (whole) => {
    const fresh = whole.startsWith(known) ? whole.slice(known.length) : afterOverlap(known, whole)
    known = whole
    return fresh
  }
}

/** The last bar that tqdm drew, such as ` 45%|████▌     | 9/20 [00:02<00:02]`. */
export function percentIn(text: string): number | undefined {
  const [, percent] = [...text.matchAll(/(?:^|[\s:])(\d{1,3})%\|/g)].at(-1) ?? []
  return percent === undefined ? undefined : Math.min(Number(percent), 100)
}

function afterOverlap(told: string, whole: string): string {
  const tail = told.slice(-overlap)
  const at = tail === '' ? -1 : whole.lastIndexOf(tail)
  return at === -1 ? whole : whole.slice(at + tail.length)
}

const overlap = 200
