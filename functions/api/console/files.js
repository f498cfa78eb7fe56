/** The page "Files": all files of the tenant, newest first. */

import { download } from "./batch-actions.js";
import { element, icon, replace, setAttribute, setText } from "./dom.js";
import { FileUses } from "./file-uses.js";
import { NONE, ago, bytes, dateTime, now, plural, roughly } from "./format.js";
import { filterButtons, heading, tools } from "./list-parts.js";
import { every } from "./poll.js";
import { showPreview } from "./preview.js";

/**
 * @typedef {{ id: string, filename: string, bytes: number, purpose: string, created_at: number,
 *   expires_at: number | null, status: "processed" | "pending" | "error", status_details: string | null }} ListedFile
 */

export const title = "Files";
const POLL_SECONDS = 10;
const PAGE = 200;
const KINDS = { input: "Input", results: "Results", errors: "Errors" };
/** Only these can be read: see DOWNLOADABLE in nightlane/domain/files.py. */
const READABLE = new Set(["batch", "batch_output", "fine-tune"]);
/** @type {{ label: string, has: (file: ListedFile) => boolean }[]} */
const FILTERS = [
  { label: "All", has: () => true },
  { label: "Inputs", has: (file) => kindOf(file) === KINDS.input },
  { label: "Results", has: (file) => kindOf(file) === KINDS.results },
  { label: "Errors", has: (file) => kindOf(file) === KINDS.errors },
  { label: "Other", has: (file) => kindOf(file) === file.purpose },
];
const COLUMNS = ["Name", "Kind", "Size", "Created", "Expires", "Status"];

/** @type {import("./app.js").Page["show"]} */
export async function show(main, context) {
  const page = new FilesPage(context);
  replace(main, page.node);
  await every(POLL_SECONDS, () => page.load(), context.signal);
}

class FilesPage {
  /** @param {import("./app.js").Context} context */
  constructor(context) {
    this.context = context;
    /** @type {ListedFile[]} */
    this.files = [];
    this.uses = new FileUses();
    this.limit = PAGE;
    this.chosen = 0;
    this.query = "";
    this.shown = "";
    this.summary = element("p", { class: "muted summary" });
    this.problem = element("p", { class: "problem", role: "alert" });
    this.body = element("tbody");
    this.nothing = element("div", { class: "empty" }, "Loading …");
    this.more = element("button", { class: "button", type: "button", hidden: true, onclick: () => this.#loadMore() }, "Load older files");
    this.filters = filterButtons(FILTERS, (at) => this.#filter(at));
    const search = element("input", { type: "search", "aria-label": "Search files", placeholder: "Search name, id or batch", spellcheck: "false" });
    search.addEventListener("input", () => this.#search(/** @type {HTMLInputElement} */ (search).value));
    const headings = COLUMNS.map((name) => element("th", { scope: "col", class: name === "Size" ? "number" : null }, name));
    this.table = element(
      "table",
      { class: "cards files", "aria-label": "Files" },
      element("thead", {}, element("tr", {}, headings, element("th", { scope: "col" }, element("span", { class: "hidden-text" }, "Actions")))),
      this.body,
    );
    this.node = element(
      "div",
      { class: "stack" },
      heading(title, this.summary),
      tools(search, this.filters),
      this.problem,
      element("section", { class: "card list", "aria-label": "List" }, this.table, this.nothing),
      element("div", { class: "row more" }, this.more),
    );
  }

  async load() {
    const page = await this.context.api.get("files", { limit: this.limit }, { signal: this.context.signal });
    await this.uses.update(this.context, page.data);
    this.files = page.data;
    this.more.hidden = !page.has_more;
    const size = this.files.reduce((total, file) => total + file.bytes, 0);
    setText(this.summary, this.files.length ? `${plural(this.files.length, "file")}${page.has_more ? " loaded" : ""} · ${bytes(size)}` : "");
    this.#render();
  }

  async #loadMore() {
    this.limit += PAGE;
    await this.#try(() => this.load());
  }

  /** Build the rows, if another file, or another state of one, is to be shown. */
  #render() {
    const query = this.query.trim().toLowerCase();
    const { has } = FILTERS[this.chosen];
    const found = this.files.filter((file) => has(file) && (!query || this.#textOf(file).includes(query)));
    const at = now();
    // A row that has the focus must not be replaced without need.
    const shown = JSON.stringify(found.map((file) => [file, this.uses.of(file.id), ago(file.created_at, at)]));
    if (shown !== this.shown) replace(this.body, found.map((file) => this.#row(file, at)));
    this.shown = shown;
    this.table.hidden = found.length === 0;
    this.nothing.hidden = found.length > 0;
    setText(this.nothing, this.files.length ? "No loaded file matches." : "No files yet. Inputs of batches and their results appear here.");
    return found.length;
  }

  /** @param {number} at */
  #filter(at) {
    this.chosen = at;
    this.filters.forEach((button, number) => setAttribute(button, "aria-pressed", String(number === at)));
    this.context.announce(plural(this.#render(), "file"));
  }

  /** @param {string} query */
  #search(query) {
    this.query = query;
    this.context.announce(plural(this.#render(), "file"));
  }

  /** @param {ListedFile} file @param {number} at */
  #row(file, at) {
    const isReadable = READABLE.has(file.purpose) && file.status === "processed";
    const name = isReadable
      ? element("button", { type: "button", onclick: () => showPreview(this.context, file), "aria-label": `Preview ${file.filename}` }, file.filename)
      : element("strong", {}, file.filename);
    const use = this.uses.of(file.id);
    const act = (/** @type {any} */ iconName, /** @type {string} */ label, /** @type {() => unknown} */ run) =>
      element("button", { class: "button quiet", type: "button", "aria-label": `${label} ${file.filename}`, title: label, onclick: run }, icon(iconName));
    return element(
      "tr",
      {},
      element("td", { class: "name" }, element("div", { class: "file-of" }, name, element("code", { class: "muted small" }, file.id), use && element("span", { class: "muted small" }, `${use.role} `, element("a", { href: use.href }, use.name)))),
      element("td", { "data-label": "Kind" }, kindOf(file)),
      element("td", { "data-label": "Size", class: "number nowrap" }, bytes(file.bytes)),
      element("td", { "data-label": "Created", class: "nowrap" }, element("time", { title: dateTime(file.created_at) }, ago(file.created_at, at))),
      element("td", { "data-label": "Expires", class: "nowrap" }, expiry(file, at)),
      element("td", { "data-label": "Status" }, badge(file)),
      element(
        "td",
        {},
        element(
          "div",
          { class: "acts" },
          isReadable && act("download", "Download", () => this.#try(() => download(this.context, file.id, file.filename))),
          act("trash", "Delete", () => this.#askToDelete(file)),
        ),
      ),
    );
  }

  /** What the search looks through. @param {ListedFile} file */
  #textOf({ id, filename }) {
    return `${filename}\n${id}\n${this.uses.of(id)?.name ?? ""}`.toLowerCase();
  }

  /** @param {ListedFile} file */
  #askToDelete(file) {
    const remove = async () => {
      dialog.close();
      await this.#try(async () => {
        await this.context.api.delete(`files/${encodeURIComponent(file.id)}`, { signal: this.context.signal });
        this.context.announce(`${file.filename} is deleted`);
        await this.load();
      });
    };
    const dialog = /** @type {HTMLDialogElement} */ (
      element(
        "dialog",
        { "aria-labelledby": "ask", onclose: () => dialog.remove() },
        element(
          "div",
          { class: "stack" },
          element("h2", { id: "ask" }, `Delete “${file.filename}”?`),
          element("p", {}, file.purpose === "batch" ? "A batch that has been validated keeps a copy of its own." : "The file cannot be restored."),
          element(
            "div",
            { class: "row" },
            element("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Keep it"),
            element("button", { class: "button danger", type: "button", onclick: remove }, icon("trash"), "Delete the file"),
          ),
        ),
      )
    );
    document.body.append(dialog);
    dialog.showModal();
  }

  /** @param {() => Promise<void>} act */
  async #try(act) {
    setText(this.problem, "");
    try {
      await act();
    } catch (error) {
      if (!this.context.signal.aborted) setText(this.problem, error instanceof Error ? error.message : String(error));
    }
  }
}

/** Results and errors of batches have the same purpose. @param {ListedFile} file */
function kindOf({ purpose, filename }) {
  if (purpose === "batch_output") return filename.endsWith("_error.jsonl") ? KINDS.errors : KINDS.results;
  return purpose === "batch" ? KINDS.input : purpose;
}

/** @param {ListedFile} file @param {number} at */
function expiry({ expires_at: expires }, at) {
  if (expires === null) return element("span", { class: "muted" }, NONE);
  return element("time", { title: dateTime(expires) }, expires > at ? `in ${roughly(expires - at)}` : "now");
}

/** @param {ListedFile} file */
function badge({ status, status_details: details }) {
  const look = { processed: "good", pending: "active", error: "bad" }[status] ?? "";
  const label = { processed: "Ready", pending: "Pending", error: "Refused" }[status] ?? status;
  return element("span", { class: `badge ${look}`, title: details || null }, label);
}
