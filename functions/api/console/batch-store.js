/** The batches that were loaded, newest first, and how they are kept up to date. */

import { now } from "./format.js";
import { Meter } from "./rates.js";
import { doneOf, isActive } from "./status.js";

/** @typedef {import("./status.js").Batch} Batch */
/** @typedef {import("./status.js").Progress} Progress */

const FIRST_PAGE = 50;
const OLDER_PAGE = 100;
const MAX_PAGES_OF_NEW = 20;
/** How many batches are asked about one by one in each round. */
const MAX_SINGLES = 8;
const PROGRESS_SECONDS = 6;

/** Batches of one key. */
export class BatchStore {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.api = api;
    /** @type {Map<string, Batch>} */
    this.batches = new Map();
    /** @type {string[]} newest first */
    this.order = [];
    /** @type {Map<string, Progress & { at: number }>} of active batches */
    this.progress = new Map();
    /** @type {Map<string, Meter>} */
    this.meters = new Map();
    /** @type {Map<string, number>} when an older batch was last asked about */
    this.asked = new Map();
    this.hasMore = false;
  }

  active() {
    return this.order.map((id) => this.batches.get(id)).filter((batch) => batch && isActive(batch));
  }

  /** Load the newest batches, and what the active ones are doing. @param {AbortSignal} signal */
  async refresh(signal) {
    const isFirst = this.order.length === 0;
    const fresh = new Set();
    /** @type {string[]} */
    const added = [];
    let after = null;
    for (let pages = 0; pages < MAX_PAGES_OF_NEW; pages += 1) {
      const page = await this.#page(after, FIRST_PAGE, signal);
      const known = page.data.some((/** @type {Batch} */ batch) => this.batches.has(batch.id));
      for (const batch of page.data) {
        fresh.add(batch.id);
        if (!this.batches.has(batch.id)) added.push(batch.id);
        this.#keep(batch);
      }
      if (isFirst) this.hasMore = page.has_more;
      // Until the batches that were loaded before begin, so that there is no gap.
      if (isFirst || known || !page.has_more) break;
      after = page.last_id;
    }
    this.order = [...added, ...this.order];
    await Promise.all([this.#refreshOlder(fresh, signal), this.#refreshProgress(signal)]);
  }

  /** Load the next page of older batches. @param {AbortSignal} signal */
  async loadMore(signal) {
    const page = await this.#page(this.order.at(-1) ?? null, OLDER_PAGE, signal);
    for (const batch of page.data) {
      if (!this.batches.has(batch.id)) this.order.push(batch.id);
      this.#keep(batch);
    }
    this.hasMore = page.has_more;
  }

  /** @param {string | null} after @param {number} limit @param {AbortSignal} signal */
  #page(after, limit, signal) {
    return this.api.get("batches", { after, limit }, { signal });
  }

  /** @param {Batch} batch */
  #keep(batch) {
    this.batches.set(batch.id, batch);
    if (!isActive(batch)) {
      this.progress.delete(batch.id);
      this.meters.delete(batch.id);
      return;
    }
    let meter = this.meters.get(batch.id);
    if (!meter) this.meters.set(batch.id, (meter = new Meter()));
    meter.add(now(), doneOf(batch));
  }

  /** Ask about active batches that are older than the first page. @param {Set<string>} fresh @param {AbortSignal} signal */
  async #refreshOlder(fresh, signal) {
    const older = this.active().map((batch) => /** @type {Batch} */ (batch).id).filter((id) => !fresh.has(id));
    await Promise.all(
      this.#longestAgo(older, this.asked).map(async (id) => {
        this.asked.set(id, now());
        this.#keep(await this.api.get(`batches/${encodeURIComponent(id)}`, {}, { signal }));
      }),
    );
  }

  /** @param {AbortSignal} signal */
  async #refreshProgress(signal) {
    const ages = new Map([...this.progress].map(([id, progress]) => [id, progress.at]));
    const due = this.active()
      .map((batch) => /** @type {Batch} */ (batch))
      .filter(({ id, status }) => status === "in_progress" && now() - (ages.get(id) ?? 0) > PROGRESS_SECONDS);
    const ids = this.#longestAgo(due.map(({ id }) => id), ages);
    await Promise.all(
      ids.map(async (id) => {
        const progress = await this.api.get(`batches/${encodeURIComponent(id)}/progress`, {}, { signal });
        this.progress.set(id, { ...progress, at: now() });
      }),
    );
  }

  /** @param {string[]} ids @param {Map<string, number>} times */
  #longestAgo(ids, times) {
    return [...ids].sort((a, b) => (times.get(a) ?? 0) - (times.get(b) ?? 0)).slice(0, MAX_SINGLES);
  }
}
