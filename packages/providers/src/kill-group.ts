/** Signals a whole process group by the pid of its leader; undefined is one that never started. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    // 0 and 1 would mean this process's own group, and every process there is.
    if (pid !== undefined && pid > 1) {
      process.kill(-pid, signal)
    }
  } catch {
    // The group is gone already.
  }
}
