/** The page of one batch. */

import { Actions } from "./batch-actions.js";
import { Bar } from "./batch-row.js";
import { ErrorGroups } from "./batch-errors.js";
import { Facts } from "./batch-facts.js";
import { Results } from "./batch-results.js";
import { Trends } from "./batch-trends.js";
import { whyItWaits } from "./batch-waits.js";
import { element, icon, replace, setAttribute, setText } from "./dom.js";
import { NONE, count, duration, now, percent, rate, roughly, time } from "./format.js";
import { every } from "./poll.js";
import { Meter, pace } from "./rates.js";
import { doneOf, endOf, isActive, nameOf, shownStatus } from "./status.js";

/** @typedef {import("./status.js").Batch} Batch */
/** @typedef {import("./status.js").Progress} Progress */

export const title = "Batch";
const SECONDS = 2;
const SECONDS_ONCE_ENDED = 30;

/** @type {import("./app.js").Page["show"]} */
export async function show(main, context) {
  const [id] = context.parameters;
  const page = new BatchPage(id, context);
  await page.load();
  if (context.signal.aborted) return;
  replace(main, page.node);
  page.render();
  await every(() => (page.isActive() ? SECONDS : SECONDS_ONCE_ENDED), () => page.round(), context.signal);
}

class BatchPage {
  /** @param {string} id @param {import("./app.js").Context} context */
  constructor(id, context) {
    this.path = `batches/${encodeURIComponent(id)}`;
    this.context = context;
    /** @type {Batch | null} */
    this.batch = null;
    /** @type {Progress | null} */
    this.progress = null;
    this.meter = new Meter();
    this.shownCallouts = "";
    this.badge = element("span", { class: "badge" });
    this.bar = new Bar("Progress", "large");
    this.callouts = element("div", { class: "stack callouts" });
    this.tiles = {
      completed: new Tile("Completed", "wide"),
      failed: new Tile("Failed"),
      rate: new Tile("Rate"),
      time: new Tile("Time left"),
      window: new Tile("Window"),
    };
    this.heading = element("h1");
    this.actions = new Actions(this.path, context, (batch) => this.take(batch));
    this.facts = new Facts();
    this.trends = new Trends();
    this.errors = new ErrorGroups(context);
    this.results = new Results(this.path, context, (lines) => this.errors.add(lines));
    this.node = this.#frame(id);
  }

  /** @param {string} id */
  #frame(id) {
    const tiles = Object.values(this.tiles).map((tile) => tile.node);
    return element(
      "div",
      { class: "stack" },
      element("a", { class: "back", href: "#/batches" }, icon("back"), "Batches"),
      element(
        "div",
        { class: "row between title" },
        element("div", { class: "row" }, this.heading, this.badge),
        this.actions.node,
      ),
      element("div", { class: "row id" }, element("code", { class: "muted" }, id), this.#copy(id)),
      this.callouts,
      element("section", { class: "card hero", "aria-label": "Progress" }, this.bar.node, element("dl", { class: "tiles" }, tiles)),
      element(
        "div",
        { class: "columns" },
        element("div", { class: "stack" }, this.trends.node, this.errors.node, this.results.node),
        element("div", { class: "stack side" }, this.facts.nodes),
      ),
    );
  }

  /** @param {string} id */
  #copy(id) {
    const copy = async () => {
      await navigator.clipboard.writeText(id);
      this.context.announce("Copied");
    };
    return element("button", { class: "button quiet small", type: "button", "aria-label": "Copy the id", onclick: copy }, icon("copy"));
  }

  isActive() {
    return this.batch !== null && isActive(this.batch);
  }

  /** Ask for the batch and, while it runs, for what it is doing. */
  async load() {
    const { api, signal } = this.context;
    const wasActive = this.batch === null || isActive(this.batch);
    const batch = await api.get(this.path, {}, { signal });
    // Also once after the end: the endpoint's last words say why lines have expired.
    if (wasActive) this.progress = await api.get(`${this.path}/progress`, {}, { signal });
    this.take(batch);
  }

  /** @param {Batch} batch */
  take(batch) {
    const before = this.batch;
    this.batch = batch;
    this.meter.add(now(), doneOf(batch));
    if (before && before.status !== batch.status) this.context.announce(shownStatus(batch).label);
    if (before) this.render();
  }

  async round() {
    const { api, signal } = this.context;
    await this.load();
    const batch = /** @type {Batch} */ (this.batch);
    const parts = await Promise.allSettled([
      this.trends.refresh(batch, api, this.path, signal),
      this.facts.refresh(batch, api, this.path, signal),
      this.results.refresh(batch),
      this.errors.refresh(batch),
    ]);
    // One part that cannot be read leaves the others as they are.
    const failed = parts.find((part) => part.status === "rejected");
    if (failed) throw /** @type {PromiseRejectedResult} */ (failed).reason;
  }

  render() {
    const batch = /** @type {Batch} */ (this.batch);
    const shown = shownStatus(batch, this.progress);
    const { total } = batch.request_counts;
    const share = isActive(batch) && total ? `${percent(doneOf(batch) / total)} · ` : "";
    document.title = `${share}${nameOf(batch)} · Nightlane`;
    setText(this.heading, nameOf(batch));
    setText(this.badge, shown.label);
    setAttribute(this.badge, "class", `badge ${shown.look}`);
    this.bar.update(batch, shown);
    this.#renderTiles(batch);
    const callouts = whyItWaits(batch, this.progress, now());
    const text = JSON.stringify(callouts);
    if (text !== this.shownCallouts) {
      this.shownCallouts = text;
      replace(this.callouts, callouts.map(calloutOf));
    }
    this.callouts.hidden = callouts.length === 0;
    this.actions.update(batch);
    this.facts.update(batch);
    this.errors.update(batch);
  }

  /** @param {Batch} batch */
  #renderTiles(batch) {
    const { total, completed, failed } = batch.request_counts;
    const { rate: lines, secondsLeft } = pace(batch, this.progress, this.meter, now());
    const { tiles } = this;
    tiles.completed.set(count(completed), total ? `of ${count(total)} · ${percent(completed / total)}` : "");
    tiles.failed.set(count(failed), total && failed ? percent(failed / total) : "");
    tiles.failed.node.classList.toggle("bad", failed > 0);
    const average = this.progress?.lines_per_second ?? null;
    tiles.rate.set(rate(lines), !isActive(batch) ? (lines === null ? "" : "on average") : average === null ? "" : `${rate(average)} on average`);
    const ended = endOf(batch);
    if (ended === null) {
      tiles.time.set(secondsLeft === null ? NONE : `≈ ${duration(secondsLeft)}`, secondsLeft === null ? "" : `until ${time(now() + secondsLeft)}`);
      tiles.window.set(`${roughly(batch.expires_at - now())}`, `left of ${batch.completion_window}`);
    } else {
      tiles.time.name("Took");
      tiles.time.set(duration(ended - batch.created_at), "");
      tiles.window.set(batch.completion_window, "");
    }
  }
}

/** @param {import("./batch-waits.js").Callout} callout */
function calloutOf({ look, title: heading, text, quote }) {
  return element(
    "div",
    { class: `callout ${look}`, role: "status" },
    icon(look ? "alert" : "clock"),
    element("div", {}, element("strong", {}, heading), text, quote && element("blockquote", { class: "mono" }, quote)),
  );
}

/** A figure with its name. */
class Tile {
  /** @param {string} label @param {string} [look] */
  constructor(label, look = "") {
    this.label = element("dt", { class: "muted small" }, label);
    this.value = element("dd", { class: "value" });
    this.more = element("dd", { class: "muted small" });
    this.node = element("div", { class: `tile ${look}` }, this.label, this.value, this.more);
  }

  /** @param {string} label */
  name(label) {
    setText(this.label, label);
  }

  /** @param {string} value @param {string} more */
  set(value, more) {
    setText(this.value, value);
    setText(this.more, more);
  }
}
