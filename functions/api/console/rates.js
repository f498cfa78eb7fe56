/** How fast a batch runs now, from the counts of successive polls. */

import { doneOf, isActive } from "./status.js";

/** Counts change with each checkpoint, which is every 30 seconds on AWS; so a rate needs several of them. */
const WINDOW_SECONDS = 150;
const MIN_SECONDS = 4;
const STALLED_SECONDS = 75;

/** Watches the counts of one batch. */
export class Meter {
  constructor() {
    /** @type {{ at: number, done: number }[]} only where the count changed */
    this.changes = [];
  }

  /** @param {number} at seconds @param {number} done lines */
  add(at, done) {
    const last = this.changes.at(-1);
    if (last && last.done === done) return;
    this.changes.push({ at, done });
    while (this.changes.length > 2 && at - this.changes[0].at > WINDOW_SECONDS) this.changes.shift();
  }

  /** @param {number} at @returns {number | null} lines per second; null if it is not known yet */
  rate(at) {
    const [first, last] = [this.changes[0], this.changes.at(-1)];
    if (!first || !last || last.at - first.at < MIN_SECONDS) return null;
    if (at - last.at > STALLED_SECONDS) return 0;
    return (last.done - first.done) / (last.at - first.at);
  }
}

/**
 * What a batch's rate is, and when it will be done.
 * @param {import("./status.js").Batch} batch
 * @param {import("./status.js").Progress | null | undefined} progress
 * @param {Meter | undefined} meter
 * @param {number} at
 * @returns {{ rate: number | null, secondsLeft: number | null }}
 */
export function pace(batch, progress, meter, at) {
  const done = doneOf(batch);
  if (!isActive(batch)) {
    const ended = batch.finalizing_at ?? batch.cancelled_at ?? batch.expired_at;
    const began = batch.in_progress_at;
    return { rate: done && began && ended ? done / Math.max(1, ended - began) : null, secondsLeft: null };
  }
  if (batch.status !== "in_progress" || progress?.waits_for) return { rate: null, secondsLeft: null };
  const rate = meter?.rate(at) ?? progress?.lines_per_second ?? null;
  return { rate, secondsLeft: rate ? (batch.request_counts.total - done) / rate : null };
}
