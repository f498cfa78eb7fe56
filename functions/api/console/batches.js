/** The page "Batches": a live list, newest first. */

import { BatchRow } from "./batch-row.js";
import { BatchStore } from "./batch-store.js";
import { element, icon, replace, setAttribute, setText } from "./dom.js";
import { compact, count, now, plural, rate } from "./format.js";
import { filterButtons, heading, tools } from "./list-parts.js";
import { every, sleep } from "./poll.js";
import { pace } from "./rates.js";
import { doneOf, isActive } from "./status.js";

/** @typedef {import("./status.js").Batch} Batch */

export const title = "Batches";
const ACTIVE_SECONDS = 2;
const IDLE_SECONDS = 6;
/** Further pages are loaded on demand only, so that a search does not read a year of batches. */
const MAX_LOADED_BY_ITSELF = 1000;
const PAUSE_FOR_TYPING_MS = 120;

/** @type {{ label: string, has: (batch: Batch) => boolean }[]} */
const FILTERS = [
  { label: "All", has: () => true },
  { label: "Active", has: isActive },
  { label: "Completed", has: (batch) => batch.status === "completed" },
  { label: "With failures", has: (batch) => batch.request_counts.failed > 0 },
  { label: "Failed", has: (batch) => batch.status === "failed" },
  { label: "Cancelled", has: (batch) => batch.status === "cancelled" || batch.status === "cancelling" },
  { label: "Expired", has: (batch) => batch.status === "expired" },
];

/** What is shown again when people come back from one batch. */
let kept = { key: "", store: /** @type {BatchStore | null} */ (null), filter: 0, query: "" };

/** @type {import("./app.js").Page["show"]} */
export async function show(main, context) {
  if (kept.key !== context.api.key) kept = { key: context.api.key, store: null, filter: 0, query: "" };
  kept.store ??= new BatchStore(context.api);
  kept.store.api = context.api;
  const page = new BatchesPage(kept.store, context);
  replace(main, page.node);
  if (kept.store.order.length) page.render();
  await page.run();
}

class BatchesPage {
  /** @param {BatchStore} store @param {import("./app.js").Context} context */
  constructor(store, { signal, announce }) {
    this.store = store;
    this.signal = signal;
    this.announce = announce;
    /** @type {Map<string, BatchRow>} */
    this.rows = new Map();
    this.summary = element("p", { class: "muted summary" });
    this.list = element("ol", { class: "batches", "aria-label": "Batches", onkeydown: moveFocus });
    this.nothing = element("div", { class: "empty", hidden: true });
    this.more = element("button", { class: "button", type: "button", hidden: true, onclick: () => this.loadMore() }, "Load older batches");
    this.filters = filterButtons(FILTERS, (at) => this.filter(at));
    const columns = ["Batch", "Status", "Progress", "Rate", "Time", "Created"];
    this.node = element(
      "div",
      { class: "stack" },
      heading(title, this.summary),
      tools(this.#search(), this.filters),
      element(
        "section",
        { class: "card list", "aria-label": "List" },
        element("div", { class: "batch heading", "aria-hidden": "true" }, columns.map((name) => element("div", {}, name))),
        this.list,
        this.nothing,
      ),
      element("div", { class: "row more" }, this.more),
    );
  }

  #search() {
    let timer = 0;
    const input = /** @type {HTMLInputElement} */ (
      element("input", { type: "search", "aria-label": "Search batches", placeholder: "Search name, id, metadata, file, model", value: kept.query, spellcheck: "false" })
    );
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.search(input.value), PAUSE_FOR_TYPING_MS);
    });
    return input;
  }

  /** Keep the list up to date until the page is left. */
  async run() {
    this.watch = new IntersectionObserver(([entry]) => entry.isIntersecting && this.#loadByItself(), { rootMargin: "600px" });
    this.watch.observe(this.more);
    this.signal.addEventListener("abort", () => this.watch?.disconnect());
    const pause = () => (this.store.active().length ? ACTIVE_SECONDS : IDLE_SECONDS);
    const round = async () => {
      await this.store.refresh(this.signal);
      if (!this.signal.aborted) this.render();
    };
    await round();
    await sleep(pause(), this.signal);
    await every(pause, round, this.signal);
  }

  /** Write what has changed. */
  render() {
    const at = now();
    const { batches, progress, meters, order } = this.store;
    /** @type {HTMLElement[]} */
    const older = [];
    /** @type {HTMLElement[]} */
    const newer = [];
    const hadRows = this.rows.size > 0;
    let isNewer = hadRows;
    for (const id of order) {
      const batch = /** @type {Batch} */ (batches.get(id));
      let row = this.rows.get(id);
      if (row) isNewer = false;
      else {
        row = new BatchRow(batch);
        this.rows.set(id, row);
        (isNewer ? newer : older).push(row.node);
      }
      row.update(batch, progress.get(id), meters.get(id), at);
    }
    if (newer.length) {
      this.list.prepend(...newer);
      this.announce(plural(newer.length, "new batch", "new batches"));
    }
    if (older.length) this.list.append(...older);
    this.#show();
    this.#summarize(at);
  }

  /** Hide what the filter or the search leaves out. */
  #show() {
    const { has } = FILTERS[kept.filter];
    const query = kept.query.trim().toLowerCase();
    let shown = 0;
    for (const row of this.rows.values()) {
      const isShown = has(/** @type {Batch} */ (row.batch)) && (!query || row.matches(query));
      if (row.node.hidden === isShown) row.node.hidden = !isShown;
      if (isShown) shown += 1;
    }
    this.filters.forEach((button, i) => setAttribute(button, "aria-pressed", String(i === kept.filter)));
    this.more.hidden = !this.store.hasMore;
    this.nothing.hidden = shown > 0;
    if (!shown) this.#showNothing();
    return shown;
  }

  #showNothing() {
    if (this.rows.size) return replace(this.nothing, "No loaded batch matches.");
    replace(
      this.nothing,
      element("h2", {}, "No batches yet"),
      element("p", {}, "Drop a JSONL file, or create one with any OpenAI client at ", element("code", {}, this.store.api.base.href.replace(/\/$/, "")), "."),
      element("p", {}, element("a", { class: "button primary", href: "#/new" }, icon("new"), "New batch")),
    );
  }

  /** @param {number} at */
  #summarize(at) {
    const active = this.store.active().map((batch) => /** @type {Batch} */ (batch));
    const waiting = active.filter(({ id }) => this.store.progress.get(id)?.waits_for).length;
    const sum = (/** @type {(batch: Batch) => number} */ of) => active.reduce((total, batch) => total + of(batch), 0);
    const lines = sum((batch) => pace(batch, this.store.progress.get(batch.id), this.store.meters.get(batch.id), at).rate ?? 0);
    const left = sum((batch) => Math.max(0, batch.request_counts.total - doneOf(batch)));
    const parts = [
      active.length - waiting && `${count(active.length - waiting)} running`,
      waiting && `${count(waiting)} waiting`,
      lines && rate(lines),
      left && `${compact(left)} ${left === 1 ? "line" : "lines"} left`,
    ].filter(Boolean);
    setText(this.summary, parts.length ? parts.join(" · ") : "Nothing is running");
  }

  /** @param {number} index */
  filter(index) {
    kept.filter = index;
    this.#afterChoice();
  }

  /** @param {string} query */
  search(query) {
    kept.query = query;
    this.#afterChoice();
  }

  #afterChoice() {
    this.announce(plural(this.#show(), "batch", "batches"));
  }

  #loadByItself() {
    if (this.store.order.length < MAX_LOADED_BY_ITSELF) void this.loadMore();
  }

  async loadMore() {
    if (this.isLoading || !this.store.hasMore) return;
    this.isLoading = true;
    try {
      await this.store.loadMore(this.signal);
      this.render();
      // It may still be in view, of which there is no new event.
      this.watch?.unobserve(this.more);
      this.watch?.observe(this.more);
    } catch (error) {
      if (!this.signal.aborted) window.dispatchEvent(new CustomEvent("connection", { detail: error }));
    } finally {
      this.isLoading = false;
    }
  }
}

/** Arrow keys go from batch to batch. @param {KeyboardEvent} event */
function moveFocus(event) {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  let row = /** @type {any} */ (event.target).closest("li");
  if (!step || !row) return;
  do row = row[step];
  while (row?.hidden);
  if (!row) return;
  event.preventDefault();
  row.querySelector("a").focus();
}
