/** The errors of a batch, grouped by code, with examples. */

import { ApiError } from "./api.js";
import { element, replace } from "./dom.js";
import { count, plural } from "./format.js";
import { isFailure, problemOf, readLines } from "./lines.js";
import { isActive } from "./status.js";

/** @typedef {import("./status.js").Batch} Batch */
/** @typedef {{ count: number, messages: [string, string[]][] }} Group messages, each with some of the lines that got it */

const MAX_MESSAGES = 3;
const MAX_LINES = 3;
/** As much of an error file is read as is needed for the groups to be true to it. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Groups the errors that were read so far. */
export class ErrorGroups {
  /** @param {import("./app.js").Context} context */
  constructor(context) {
    this.context = context;
    /** @type {Map<string, Group>} */
    this.groups = new Map();
    this.seen = 0;
    this.isFromFile = false;
    this.shown = "";
    this.list = element("ul", { class: "errors" });
    this.note = element("p", { class: "muted small" });
    this.node = element("section", { class: "card", "aria-label": "Errors", hidden: true }, element("h2", {}, "Errors"), this.list, this.note);
  }

  /** Show validation errors. @param {Batch} batch */
  update(batch) {
    if (!batch.errors || this.isFromFile) return;
    this.isFromFile = true;
    for (const { code, message, line } of batch.errors.data) this.#count(code, line ? `line ${line}` : "file", message);
    this.#render(batch.errors.data.length);
  }

  /** Take result lines of a batch that runs. @param {import("./lines.js").ResultLine[]} lines */
  add(lines) {
    if (this.isFromFile) return;
    for (const line of lines.filter(isFailure)) this.#countLine(line);
    this.#render(this.failed ?? this.seen);
  }

  /** Read the error file once the batch has one. @param {Batch} batch */
  async refresh(batch) {
    this.failed = batch.request_counts.failed;
    if (this.isFromFile || isActive(batch) || !batch.error_file_id) return;
    this.isFromFile = true;
    const { total, completed } = batch.request_counts;
    this.groups.clear();
    this.seen = 0;
    let text = "";
    try {
      text = await this.#beginning(batch.error_file_id);
    } catch (error) {
      // The file was deleted or has expired, which the results say, too.
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
    }
    readLines(text).forEach((line) => this.#countLine(line));
    this.#render(total - completed);
  }

  /** @param {string} fileId whole lines from the beginning of a file */
  async #beginning(fileId) {
    const { api, signal } = this.context;
    const response = await api.fetch(`files/${encodeURIComponent(fileId)}/content`, { signal });
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    const decoder = new TextDecoder();
    let text = "";
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      text += decoder.decode(read.value, { stream: true });
      if (text.length > MAX_BYTES) {
        await reader.cancel();
        break;
      }
    }
    return text.slice(0, text.lastIndexOf("\n") + 1);
  }

  /** @param {import("./lines.js").ResultLine} line */
  #countLine(line) {
    const { code, message } = problemOf(line);
    this.#count(code, line.custom_id, message);
  }

  /** @param {string} code @param {string} where @param {string} message */
  #count(code, where, message) {
    this.seen += 1;
    let group = this.groups.get(code);
    if (!group) this.groups.set(code, (group = { count: 0, messages: [] }));
    group.count += 1;
    const known = group.messages.find(([text]) => text === message);
    if (known && known[1].length < MAX_LINES) known[1].push(where);
    if (!known && group.messages.length < MAX_MESSAGES) group.messages.push([message, [where]]);
  }

  /** @param {number} all */
  #render(all) {
    this.node.hidden = this.seen === 0;
    const groups = [...this.groups].sort((a, b) => b[1].count - a[1].count);
    const text = JSON.stringify([groups, all]);
    if (text === this.shown) return;
    this.shown = text;
    replace(this.list, groups.map(groupOf));
    const isPart = this.seen < all;
    this.note.hidden = !isPart;
    replace(this.note, isPart ? `Of the first ${plural(this.seen, "error")} of ${count(all)}.` : "");
  }
}

/** @param {[string, Group]} entry */
function groupOf([code, group]) {
  const examples = group.messages.map(([message, lines]) =>
    element("li", {}, element("span", {}, message), element("span", { class: "mono where" }, lines.join(", "))),
  );
  return element(
    "li",
    {},
    element("p", { class: "row" }, element("span", { class: "badge bad" }, code), element("strong", {}, count(group.count))),
    element("ul", { class: "examples small" }, examples),
  );
}
