/** Why a batch waits, or ended as it did, in words. */

import { count, dateTime, duration, plural, roughly, time } from "./format.js";
import { isActive } from "./status.js";

/** @typedef {{ look: "" | "bad", title: string, text: string, quote?: string }} Callout */

/**
 * @param {import("./status.js").Batch} batch
 * @param {import("./status.js").Progress | null} progress
 * @param {number} at
 * @returns {Callout[]}
 */
export function whyItWaits(batch, progress, at) {
  if (!isActive(batch)) return whyItEnded(batch, progress);
  const since = progress?.waits_since ? ` It has waited since ${time(progress.waits_since)}.` : "";
  const resumes = progress?.resumes_at && progress.resumes_at > at ? progress.resumes_at : null;
  switch (progress?.waits_for) {
    case "slot":
      return [{ look: "", title: "Waiting for a slot", text: `Other batches are running; this one starts when one of them ends.${since}` }];
    case "active_hours":
      return [
        {
          look: "",
          title: "Waiting for the endpoint's hours",
          text: resumes ? `The endpoint may be used again at ${dateTime(resumes)}, in ${roughly(resumes - at)}.` : "The endpoint may not be used at this hour.",
        },
      ];
    case "endpoint":
      return [
        {
          look: "bad",
          title: "The endpoint does not take requests",
          text: `${resumes ? `It is tried again at ${time(resumes)}.` : "It is tried again soon."} No line fails because of this.${since}`,
          quote: wordsOf(progress),
        },
      ];
    default:
      break;
  }
  return batch.status === "cancelling"
    ? [{ look: "", title: "Cancelling", text: "Requests in flight are completed and kept." }]
    : [];
}

/**
 * @param {import("./status.js").Batch} batch
 * @param {import("./status.js").Progress | null} progress
 * @returns {Callout[]}
 */
function whyItEnded(batch, progress) {
  const { total, completed, failed } = batch.request_counts;
  const left = total - completed - failed;
  switch (batch.status) {
    case "failed":
      return [{ look: "bad", title: "The input file is not valid", text: "No request was sent. Correct the lines below and create a new batch." }];
    case "expired":
      return [
        {
          look: "bad",
          title: "The window ended first",
          text: `${plural(left, "line")} had no result after ${batch.completion_window}; ${count(completed + failed)} did, and are in the files. Retry runs the rest again.`,
          quote: progress ? wordsOf(progress) : undefined,
        },
      ];
    case "cancelled":
      return left ? [{ look: "", title: "Cancelled", text: `${plural(left, "line")} did not run; all results until then are in the files.` }] : [];
    default:
      return [];
  }
}

/** The endpoint's last words. @param {import("./status.js").Progress} progress */
function wordsOf(progress) {
  const last = progress.last_refusal;
  if (!last) return undefined;
  return `${[last.status, last.message || last.kind].filter(Boolean).join(" ")} (since ${time(last.since)})`;
}

/**
 * The states that a batch has been in, and those that it will be in if all goes well.
 * @param {import("./status.js").Batch} batch
 * @returns {{ label: string, at: number | null, lasted: string }[]}
 */
export function statesOf(batch) {
  /** @type {[string, number | null][]} */
  const known = [
    ["Created", batch.created_at],
    ["In progress", batch.in_progress_at],
    ["Cancelling", batch.cancelling_at],
    ["Finalizing", batch.finalizing_at],
    ["Completed", batch.completed_at],
    ["Failed", batch.failed_at],
    ["Expired", batch.expired_at],
    ["Cancelled", batch.cancelled_at],
  ];
  const reached = known.filter(([, at]) => at !== null).sort((a, b) => Number(a[1]) - Number(b[1]));
  const ahead = isActive(batch) && batch.status !== "cancelling" ? ["In progress", "Finalizing", "Completed"] : isActive(batch) ? ["Cancelled"] : [];
  const states = reached.map(([label, at], i) => {
    const next = reached[i + 1]?.[1];
    return { label, at, lasted: next && next > Number(at) ? duration(next - Number(at)) : "" };
  });
  const seen = new Set(states.map(({ label }) => label));
  return [...states, ...ahead.filter((label) => !seen.has(label)).map((label) => ({ label, at: null, lasted: "" }))];
}
