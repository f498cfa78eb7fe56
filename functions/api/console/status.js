/** What the fields of a batch mean to people. */

/**
 * The batch object of the API, as far as the console uses it.
 * @typedef {Record<string, any> & {
 *   id: string, status: string, endpoint: string, model: string | null, input_file_id: string,
 *   created_at: number, in_progress_at: number | null, expires_at: number,
 *   request_counts: { total: number, completed: number, failed: number },
 *   metadata: Record<string, string> | null }} Batch
 */

/**
 * The progress object of the API.
 * @typedef {{ lines_per_second: number | null, seconds_left: number | null,
 *   waits_for: "slot" | "active_hours" | "endpoint" | null, waits_since: number | null, resumes_at: number | null,
 *   last_refusal: { kind: string, status: number | null, message: string, since: number } | null }} Progress
 */

/** @typedef {{ label: string, look: string }} Shown */

/** @type {Record<string, Shown>} */
const STATUSES = {
  validating: { label: "Validating", look: "active" },
  in_progress: { label: "Running", look: "active" },
  finalizing: { label: "Finalizing", look: "active" },
  completed: { label: "Completed", look: "good" },
  failed: { label: "Failed", look: "bad" },
  cancelling: { label: "Cancelling", look: "warm" },
  cancelled: { label: "Cancelled", look: "" },
  expired: { label: "Expired", look: "bad" },
};

/** @type {Record<string, Shown>} */
const WAITS = {
  slot: { label: "Waiting", look: "warm" },
  active_hours: { label: "Closed hours", look: "warm" },
  endpoint: { label: "Endpoint rests", look: "bad" },
};

/** Keys of the metadata that people name their batches with. */
const NAMES = ["name", "title", "job", "description"];

const ENDED = new Set(["completed", "failed", "cancelled", "expired"]);

/** @param {Batch} batch */
export const isActive = (batch) => !ENDED.has(batch.status);

/** @param {Batch} batch @param {Progress | null} [progress] @returns {Shown} */
export function shownStatus(batch, progress) {
  const waits = batch.status === "in_progress" ? progress?.waits_for : null;
  if (waits) return WAITS[waits];
  const { completed, failed } = batch.request_counts;
  if (batch.status === "completed" && failed && !completed) return { label: "All failed", look: "bad" };
  return STATUSES[batch.status] ?? { label: batch.status, look: "" };
}

/** @param {Batch} batch the name that its owner gave it, or its id */
export function nameOf(batch) {
  const metadata = batch.metadata ?? {};
  const key = NAMES.find((each) => metadata[each]);
  return key ? metadata[key] : shortId(batch.id);
}

/** @param {string} id enough of an id to tell it from others */
export const shortId = (id) => (id.length > 18 ? `${id.slice(0, 14)}…` : id);

/** @param {Batch} batch when it ended, in seconds since 1970 */
export function endOf(batch) {
  if (isActive(batch)) return null;
  return batch.completed_at ?? batch.failed_at ?? batch.cancelled_at ?? batch.expired_at ?? null;
}

/** @param {Batch} batch lines that have a result */
export const doneOf = (batch) => batch.request_counts.completed + batch.request_counts.failed;

/** @param {string} endpoint `/v1/chat/completions` → `chat completions` */
export const endpointName = (endpoint) => endpoint.replace(/^\/v1\//, "").replaceAll("/", " ");
