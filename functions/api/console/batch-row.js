/** One row of the list. It is built once, and later only what has changed is written. */

import { element, setAttribute, setText } from "./dom.js";
import { NONE, ago, count, dateTime, duration, percent, rate, roughly } from "./format.js";
import { pace } from "./rates.js";
import { doneOf, endOf, endpointName, isActive, nameOf, shortId, shownStatus } from "./status.js";

/** @typedef {import("./status.js").Batch} Batch */

/** A progress bar with a part for completed and one for failed lines. */
export class Bar {
  /** @param {string} label @param {string} [look] */
  constructor(label, look = "") {
    this.done = element("span", { class: "done" });
    this.failed = element("span", { class: "failed" });
    this.look = look;
    this.node = element(
      "div",
      { role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 },
      this.done,
      this.failed,
    );
  }

  /** @param {Batch} batch @param {import("./status.js").Shown} shown */
  update(batch, shown) {
    const { total, completed, failed } = batch.request_counts;
    setWidth(this.done, total ? completed / total : 0);
    setWidth(this.failed, total ? failed / total : 0);
    const look = shown.look === "good" || batch.status === "completed" ? "good" : isActive(batch) ? "" : "still";
    setAttribute(this.node, "class", `bar ${this.look} ${look}`.replace(/\s+/g, " ").trim());
    const share = total ? doneOf(batch) / total : 0;
    setAttribute(this.node, "aria-valuenow", String(Math.floor(share * 100)));
    setAttribute(this.node, "aria-valuetext", total ? `${count(doneOf(batch))} of ${count(total)}` : "not known yet");
  }
}

/** @param {HTMLElement} node @param {number} share */
function setWidth(node, share) {
  const width = `${(share * 100).toFixed(2)}%`;
  // What the browser has may be written differently, so what was set is kept beside it.
  if (node.dataset.width === width) return;
  node.dataset.width = width;
  node.style.width = width;
}

/** A row of the list of batches. */
export class BatchRow {
  /** @param {Batch} batch */
  constructor(batch) {
    const name = nameOf(batch);
    this.badge = element("span", { class: "badge" });
    this.bar = new Bar(`Progress of ${name}`);
    this.counts = element("span");
    this.failed = element("span", { class: "failures" });
    this.rate = element("span", { class: "pace" });
    this.time = element("span", { class: "main-time" });
    this.window = element("span", { class: "muted small" });
    this.created = element("time", { title: dateTime(batch.created_at), class: "muted" });
    this.about = element("span", { class: "muted small cut about" });
    const link = element("a", { class: "name cut", href: `#/batches/${encodeURIComponent(batch.id)}` }, name);
    this.node = element(
      "li",
      { class: "batch" },
      element("div", { class: "who" }, link, this.about),
      element("div", { class: "state" }, this.badge),
      element(
        "div",
        { class: "progress" },
        this.bar.node,
        element("div", { class: "small row between" }, this.counts, this.failed),
      ),
      element("div", { class: "rate" }, this.rate),
      element("div", { class: "times" }, this.time, this.window),
      element("div", { class: "age small" }, this.created),
    );
    /** What the search looks through. */
    this.text = [batch.id, batch.input_file_id, batch.endpoint, ...Object.entries(batch.metadata ?? {}).flat()]
      .join("\n")
      .toLowerCase();
  }

  /**
   * @param {Batch} batch
   * @param {import("./status.js").Progress | undefined} progress
   * @param {import("./rates.js").Meter | undefined} meter
   * @param {number} at
   */
  update(batch, progress, meter, at) {
    this.batch = batch;
    const shown = shownStatus(batch, progress);
    const { total, failed } = batch.request_counts;
    setText(this.badge, shown.label);
    setAttribute(this.badge, "class", `badge ${shown.look}`);
    this.bar.update(batch, shown);
    const done = doneOf(batch);
    setText(this.counts, total ? `${count(done)} of ${count(total)} · ${percent(done / total)}` : NONE);
    setText(this.failed, failed ? `${count(failed)} failed` : "");
    const { rate: lines, secondsLeft } = pace(batch, progress, meter, at);
    setText(this.rate, rate(lines));
    setText(this.time, timeText(batch, progress, secondsLeft, at));
    setText(this.window, isActive(batch) ? `${roughly(batch.expires_at - at)} of window left` : "");
    setText(this.created, ago(batch.created_at, at));
    setText(this.about, [batch.model, endpointName(batch.endpoint), shortId(batch.id)].filter(Boolean).join(" · "));
  }

  /** @param {string} query in lower case */
  matches(query) {
    return this.text.includes(query) || Boolean(this.batch?.model?.toLowerCase().includes(query));
  }
}

/**
 * @param {Batch} batch
 * @param {import("./status.js").Progress | undefined} progress
 * @param {number | null} secondsLeft
 * @param {number} at
 */
function timeText(batch, progress, secondsLeft, at) {
  const ended = endOf(batch);
  if (ended !== null) return `took ${ended > batch.created_at ? duration(ended - batch.created_at) : "< 1 s"}`;
  if (progress?.waits_for === "slot") return "waits for a slot";
  if (progress?.resumes_at && progress.resumes_at > at) return `resumes in ${roughly(progress.resumes_at - at)}`;
  return secondsLeft === null ? NONE : `≈ ${roughly(secondsLeft)} left`;
}
