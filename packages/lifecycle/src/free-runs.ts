/**
 * SQL: whether a row of `runs` may be claimed once its `run_at` has come. `limit` is the parameter for how many crashes
 * a run may have had. What has begun before may begin again after its `start_by`. A job that was kept is taken up also
 * where nothing may run twice, and where the run was cancelled or is late: its host is to hear of that.
 */
export const isFree = (limit: string): string =>
  `parked_until is null and worker is null and (job is not null or rerun and cancel_requested_at is null) and crashes < ${limit}
   and (least(start_by, expires_at) > clock_timestamp() or run_by is not null or job is not null)`
