/** The results of a batch as they come, newest last. */

import { ApiError } from "./api.js";
import { element, icon, replace, setText } from "./dom.js";
import { count, plural } from "./format.js";
import { answerOf, isFailure, readLines } from "./lines.js";
import { doneOf, isActive } from "./status.js";

/** @typedef {import("./lines.js").ResultLine} ResultLine */

const FIRST = 20;
const PAGE = 200;
const MAX_PAGES_PER_ROUND = 4;
const MAX_SHOWN = 60;

/** Reads results page by page, and shows the latest of them. */
export class Results {
  /**
   * @param {string} path of the batch in the API
   * @param {import("./app.js").Context} context
   * @param {(lines: ResultLine[]) => void} onLines
   */
  constructor(path, context, onLines) {
    this.path = path;
    this.context = context;
    this.onLines = onLines;
    /** @type {string | null} */
    this.cursor = null;
    this.read = 0;
    /** Whether there are more results, or may be later. */
    this.isIncomplete = true;
    this.isGone = false;
    this.hasRun = false;
    this.follows = true;
    this.status = element("p", { class: "muted small" });
    this.list = element("ol", { class: "results", "aria-label": "Results" });
    this.next = element("button", { class: "button small", type: "button", hidden: true, onclick: () => this.#next() }, "Next results");
    this.follow = element("button", { class: "button small", type: "button", "aria-pressed": "true", hidden: true, onclick: () => this.#toggle() }, "Follow");
    this.node = element(
      "section",
      { class: "card", "aria-label": "Results" },
      element("div", { class: "row between" }, element("h2", {}, "Results"), element("div", { class: "row" }, this.status, this.follow)),
      this.list,
      element("div", { class: "row" }, this.next),
    );
  }

  /** @param {import("./status.js").Batch} batch */
  async refresh(batch) {
    if (this.isGone) return;
    this.total = doneOf(batch);
    this.node.hidden = batch.status === "failed";
    const runs = isActive(batch);
    this.follow.hidden = !runs;
    // One that was followed is followed to its end.
    this.hasRun ||= runs;
    try {
      if (this.read === 0 && this.isIncomplete) await this.#load(FIRST);
      for (let pages = 0; this.hasRun && this.follows && pages < MAX_PAGES_PER_ROUND && this.#hasMore(runs); pages += 1) {
        if ((await this.#load(PAGE)) === 0) break;
      }
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      this.isGone = true;
      setText(this.status, "The files were deleted or have expired");
      return;
    }
    this.next.hidden = (runs && this.follows) || !this.read || !this.#hasMore(runs);
    setText(this.status, this.read ? `${count(this.read)} of ${count(Math.max(this.read, this.total))} read` : runs ? "They appear here as they are committed" : "None");
  }

  /** @param {boolean} runs */
  #hasMore(runs) {
    return runs ? this.read < (this.total ?? 0) : this.isIncomplete;
  }

  /** @param {number} limit @returns {Promise<number>} the number of lines */
  async #load(limit) {
    if (this.isLoading) return 0;
    this.isLoading = true;
    try {
      const { api, signal } = this.context;
      const { text, headers } = await api.getText(`${this.path}/results`, { after: this.cursor, limit }, { signal });
      const lines = readLines(text);
      this.cursor = headers.get("X-Last-Line");
      this.isIncomplete = headers.get("X-Incomplete") === "true";
      this.read += lines.length;
      this.#show(lines);
      this.onLines(lines);
      return lines.length;
    } finally {
      this.isLoading = false;
    }
  }

  /** @param {ResultLine[]} lines */
  #show(lines) {
    if (!lines.length) return;
    this.list.append(...lines.slice(-MAX_SHOWN).map(itemOf));
    while (this.list.childElementCount > MAX_SHOWN) this.list.firstElementChild?.remove();
    if (this.read > lines.length) this.list.scrollTop = this.list.scrollHeight;
  }

  async #next() {
    await this.#load(MAX_SHOWN);
    this.next.hidden = !this.isIncomplete;
    setText(this.status, `${plural(this.read, "result")} read`);
  }

  #toggle() {
    this.follows = !this.follows;
    this.follow.setAttribute("aria-pressed", String(this.follows));
  }
}

/** @param {ResultLine} line */
function itemOf(line) {
  const failed = isFailure(line);
  const all = element("pre", { tabindex: "0", "aria-label": `Result of ${line.custom_id}` });
  const fill = () => {
    if (!all.textContent) replace(all, JSON.stringify(line, null, 2));
  };
  return element(
    "li",
    {},
    element(
      "details",
      { ontoggle: fill },
      element(
        "summary",
        { class: failed ? "failed" : "" },
        icon(failed ? "alert" : "check"),
        element("span", { class: "mono cut custom-id" }, line.custom_id),
        element("span", { class: "cut answer" }, answerOf(line)),
      ),
      all,
    ),
  );
}
