/** A dialog with the first lines of a file. Only the beginning is downloaded, however large the file is. */

import { download } from "./batch-actions.js";
import { element, icon, replace, setText } from "./dom.js";
import { bytes, plural } from "./format.js";

const MAX_BYTES = 96 * 1024;
const MAX_LINES = 50;

/**
 * Read the beginning of a file. A server that ignores the range is interrupted instead.
 * @param {import("./app.js").Context} context
 * @param {string} fileId
 * @returns {Promise<{ lines: string[], isWhole: boolean }>}
 */
export async function readBeginning({ api, signal }, fileId) {
  const stop = new AbortController();
  const headers = { Range: `bytes=0-${MAX_BYTES - 1}` };
  const response = await api.fetch(`files/${encodeURIComponent(fileId)}/content`, { headers, signal: AbortSignal.any([signal, stop.signal]) });
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  let text = "";
  let size = 0;
  let isWhole = response.status === 200 || wholeSize(response) <= MAX_BYTES;
  for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
    text += decoder.decode(read.value, { stream: true });
    size += read.value.length;
    if (size >= MAX_BYTES && response.status === 200) {
      isWhole = false;
      stop.abort();
      break;
    }
  }
  const lines = text.split("\n");
  if (isWhole ? lines.at(-1) === "" : lines.length > 1) lines.pop();
  return { lines: lines.slice(0, MAX_LINES), isWhole: isWhole && lines.length <= MAX_LINES };
}

/** Of `Content-Range: bytes 0-9/1234`. @param {Response} response */
const wholeSize = (response) => Number(response.headers.get("Content-Range")?.split("/")[1] ?? Infinity);

/**
 * Show the beginning of a file until the dialog is closed.
 * @param {import("./app.js").Context} context
 * @param {import("./files.js").ListedFile} file
 */
export async function showPreview(context, file) {
  let pretty = false;
  /** @type {string[]} */
  let lines = [];
  const list = element("ol", { class: "lines", tabindex: "0", "aria-label": "First lines" }, element("li", {}, element("span"), element("p", { class: "muted" }, "Loading …")));
  const note = element("p", { class: "muted small" });
  const fill = () => replace(list, lines.map((line, at) => lineOf(line, at + 1, pretty)));
  const toggle = element("button", { class: "button small", type: "button", "aria-pressed": "false" }, "Indent");
  toggle.addEventListener("click", () => {
    pretty = !pretty;
    toggle.setAttribute("aria-pressed", String(pretty));
    fill();
  });
  const dialog = /** @type {HTMLDialogElement} */ (
    element(
      "dialog",
      { class: "preview", "aria-labelledby": "preview-title", onclose: () => dialog.remove() },
      element(
        "header",
        {},
        element("h2", { id: "preview-title", class: "cut" }, file.filename),
        element("div", { class: "row" }, toggle, element("button", { class: "button small", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("cancel"))),
      ),
      list,
      element(
        "footer",
        {},
        note,
        element("button", { class: "button small", type: "button", onclick: () => download(context, file.id, file.filename) }, icon("download"), `Download ${bytes(file.bytes)}`),
      ),
    )
  );
  context.signal.addEventListener("abort", () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  try {
    const beginning = await readBeginning(context, file.id);
    lines = beginning.lines;
    fill();
    setText(note, beginning.isWhole ? plural(lines.length, "line") : `The first ${plural(lines.length, "line")}`);
  } catch (error) {
    if (dialog.open) replace(list, element("li", {}, element("span"), element("p", { class: "problem" }, error instanceof Error ? error.message : String(error))));
  }
}

/** @param {string} line @param {number} number @param {boolean} pretty */
function lineOf(line, number, pretty) {
  return element("li", {}, element("span", { class: "place mono", "aria-hidden": "true" }, number), element("pre", {}, pretty ? indented(line) : line));
}

/** @param {string} line */
function indented(line) {
  try {
    return JSON.stringify(JSON.parse(line), null, 2);
  } catch {
    return line;
  }
}
