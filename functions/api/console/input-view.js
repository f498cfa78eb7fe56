/** What the page "New batch" shows of the input: where to drop it, how its check goes, and what was found. */

import { element, icon, replace, setText } from "./dom.js";
import { bytes, count, compact, percent, plural } from "./format.js";
import { Meter } from "./meter.js";
import { promptOf } from "./prompts.js";

const EXAMPLE = (/** @type {string} */ model) =>
  ["What is the capital of Peru?", "Name a prime number above 100.", "Translate “good night” into Finnish."].map((content, at) =>
    JSON.stringify({
      custom_id: `question-${at + 1}`,
      method: "POST",
      url: "/v1/chat/completions",
      body: { model, messages: [{ role: "user", content }] },
    }),
  );
/** Codes of errors, in the words of this page. @type {Record<string, string>} */
const REASONS = {
  invalid_json_line: "Not a JSON object",
  missing_required_parameter: "Key missing",
  invalid_type: "Wrong type",
  invalid_value: "Invalid value",
  duplicate_custom_id: "custom_id used twice",
  invalid_url: "URL of another endpoint",
  invalid_request: "Invalid request",
  streaming_unsupported: "Asks for a stream",
  mismatched_model: "Second model",
  too_many_tasks: "Too many requests",
  empty_file: "Empty file",
};

/**
 * The place to drop a file, or to choose one with the keyboard.
 * @param {(file: File) => void} onFile
 * @param {() => Promise<string>} findModel a model for the example
 * @returns {HTMLElement}
 */
export function dropZone(onFile, findModel) {
  const input = /** @type {HTMLInputElement} */ (
    element("input", { type: "file", id: "input-file", class: "hidden-text", accept: ".jsonl,.ndjson,.json,.txt,application/jsonl" })
  );
  input.addEventListener("change", () => input.files?.[0] && onFile(input.files[0]));
  const useExample = async () => {
    const lines = EXAMPLE(await findModel());
    onFile(new File([lines.join("\n"), "\n"], "example.jsonl", { type: "application/jsonl" }));
  };
  return element(
    "section",
    { class: "card drop", "aria-labelledby": "drop-title" },
    element("div", { class: "drop-icon" }, icon("upload")),
    element("h2", { id: "drop-title" }, "Drop a JSONL file here"),
    element("p", { class: "muted" }, "One request a line. It is checked in this tab, before anything is sent."),
    element(
      "div",
      { class: "row" },
      input,
      element("label", { for: "input-file", class: "button primary" }, "Choose a file"),
      element("button", { class: "button", type: "button", onclick: useExample }, "Use an example"),
    ),
    element(
      "details",
      {},
      element("summary", {}, "What a line looks like"),
      element("pre", {}, JSON.stringify(JSON.parse(EXAMPLE("your-model")[0]), null, 2)),
    ),
  );
}

/**
 * Take files that are dropped anywhere on a page.
 * @param {HTMLElement} node
 * @param {(file: File) => void} onFile
 * @param {AbortSignal} signal
 */
export function acceptDrops(node, onFile, signal) {
  let depth = 0;
  const mark = (/** @type {number} */ step) => {
    depth = step ? depth + step : 0;
    node.classList.toggle("dropping", depth > 0);
  };
  const on = (/** @type {string} */ name, /** @type {(event: DragEvent) => void} */ act) =>
    node.addEventListener(name, (event) => act(/** @type {DragEvent} */ (event)), { signal });
  on("dragenter", () => mark(1));
  on("dragleave", () => mark(-1));
  on("dragover", (event) => event.preventDefault());
  on("drop", (event) => {
    event.preventDefault();
    mark(0);
    const file = event.dataTransfer?.files[0];
    if (file) onFile(file);
  });
}

/** The chosen file: progress of its check, its summary, and its errors. */
export class InputView {
  /** @param {File} file @param {HTMLElement} estimate shown before the requests @param {() => void} onReplace */
  constructor(file, estimate, onReplace) {
    this.file = file;
    this.badge = element("span", { class: "badge active" }, "Checking");
    this.meter = new Meter("Check of the file");
    this.other = element("button", { class: "button small", type: "button", onclick: onReplace }, "Another file");
    this.tiles = element("dl", { class: "tiles of-input" });
    this.errors = element("section", { class: "card", hidden: true, "aria-labelledby": "errors-title" });
    this.samples = element("section", { class: "card", hidden: true, "aria-labelledby": "samples-title" });
    this.node = element(
      "div",
      { class: "stack" },
      element(
        "section",
        { class: "card hero", "aria-label": "File" },
        element(
          "div",
          { class: "row between" },
          element("div", { class: "row file-name" }, icon("files"), element("strong", {}, file.name), this.badge),
          this.other,
        ),
        this.meter.node,
        this.tiles,
      ),
      this.errors,
      estimate,
      this.samples,
    );
  }

  /** @param {import("./validate.js").Report} report @param {number} share of the file that has been read */
  update(report, share) {
    this.meter.set(share, `${percent(share)} checked`);
    this.meter.node.hidden = report.isComplete;
    this.badge.className = `badge ${report.isComplete ? (report.isValid ? "good" : "bad") : report.invalid ? "bad" : "active"}`;
    setText(this.badge, report.isComplete ? (report.isValid ? "Valid" : plural(report.invalid, "error")) : "Checking");
    const models = [...report.models.keys()].filter((model) => model !== null);
    replace(
      this.tiles,
      tile("Requests", count(report.lines)),
      tile("Size", bytes(this.file.size)),
      tile("Prompt tokens", `≈ ${compact(report.tokens)}`),
      tile(models.length > 1 ? "Models" : "Model", models.length > 1 ? count(models.length) : models[0] ?? "–", models.slice(0, 20).join(", ")),
    );
    this.#showErrors(report);
    if (report.isComplete) this.#showSamples(report);
  }

  /** @param {import("./validate.js").Report} report */
  #showSamples({ samples, isValid }) {
    this.samples.hidden = samples.length === 0;
    replace(
      this.samples,
      element("h2", { id: "samples-title" }, isValid ? "First requests" : "First valid requests"),
      element(
        "table",
        { class: "samples", "aria-labelledby": "samples-title" },
        element("thead", {}, element("tr", {}, ["Line", "custom_id", "Asks"].map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", {}, samples.map(sampleRow)),
      ),
    );
  }

  /** @param {import("./validate.js").Report} report */
  #showErrors(report) {
    this.errors.hidden = report.invalid === 0;
    if (this.errors.hidden) return;
    const more = report.invalid - report.errors.length;
    replace(
      this.errors,
      element("h2", { id: "errors-title" }, report.errors[0].line === null ? "The file is invalid" : `${plural(report.invalid, "line")} to correct`),
      element("ul", { class: "row reasons", "aria-label": "Errors by reason" }, [...report.counts].map(reason)),
      element(
        "table",
        { class: "line-errors" },
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Line"), element("th", { scope: "col" }, "What is wrong"))),
        element("tbody", {}, report.errors.map(errorRow)),
      ),
      more > 0 && element("p", { class: "muted small" }, `and ${plural(more, "more line")} with errors`),
    );
  }
}

/** @param {[string, number]} counted */
function reason([code, number]) {
  return element("li", { class: "reason", title: code }, element("strong", {}, count(number)), REASONS[code] ?? code);
}

/** @param {{ line: number, request: { custom_id: string, body: any } }} sample */
function sampleRow({ line, request }) {
  return element(
    "tr",
    {},
    element("th", { scope: "row", class: "line-number" }, count(line)),
    element("td", { class: "mono" }, element("div", { class: "cut" }, request.custom_id)),
    element("td", {}, element("div", { class: "cut" }, promptOf(request.body))),
  );
}

/** @param {import("./validate.js").LineError} error */
function errorRow({ line, code, message, param }) {
  return element(
    "tr",
    {},
    element("th", { scope: "row", class: "line-number" }, line === null ? "–" : count(line)),
    element("td", {}, message, element("div", { class: "muted small mono" }, [code, param].filter(Boolean).join(" · "))),
  );
}

/** @param {string} name @param {string} value @param {string} [title] */
export function tile(name, value, title = "") {
  return element("div", { class: "tile" }, element("dt", { class: "muted small" }, name), element("dd", { class: "value cut", title: title || null }, value));
}
