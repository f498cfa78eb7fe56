/** What can be done with a batch: cancel, retry, download. */

import { element, icon, setText } from "./dom.js";
import { bytes, plural } from "./format.js";
import { doneOf, isActive, nameOf } from "./status.js";

/** @typedef {import("./status.js").Batch} Batch */

/** The buttons of one batch. */
export class Actions {
  /**
   * @param {string} path of the batch in the API
   * @param {import("./app.js").Context} context
   * @param {(batch: Batch) => void} onChange
   */
  constructor(path, context, onChange) {
    this.path = path;
    this.context = context;
    this.onChange = onChange;
    /** @type {Batch | null} */
    this.batch = null;
    /** @type {string | undefined} repeated clicks create one batch */
    this.token = undefined;
    this.cancel = button("cancel", "Cancel", () => this.#askToCancel(), "danger");
    this.retry = button("retry", "Retry failed", () => this.#retry());
    this.output = button("download", "Results", () => this.#download("output"), "primary");
    this.errors = button("download", "Errors", () => this.#download("error"));
    this.problem = element("p", { class: "problem small", role: "alert" });
    this.node = element("div", { class: "actions" }, element("div", { class: "row" }, this.cancel, this.retry, this.errors, this.output), this.problem);
  }

  /** @param {Batch} batch */
  update(batch) {
    this.batch = batch;
    this.cancel.hidden = !isActive(batch) || batch.status === "cancelling";
    this.retry.hidden = isActive(batch) || !batch.error_file_id;
    const { total, completed, failed } = batch.request_counts;
    const unfinished = total - completed - failed;
    labelOf(this.retry, unfinished && !failed ? "Retry the rest" : unfinished ? "Retry failed and unfinished" : "Retry failed");
    this.output.hidden = !batch.output_file_id;
    this.errors.hidden = !batch.error_file_id;
  }

  #askToCancel() {
    const batch = /** @type {Batch} */ (this.batch);
    const left = batch.request_counts.total - doneOf(batch);
    const text = `${left ? `${plural(left, "line")} will not run. ` : ""}Results so far are kept, and requests in flight are completed.`;
    const close = () => dialog.remove();
    const confirm = async () => {
      dialog.close();
      await this.#try(this.cancel, async () => this.onChange(await this.context.api.post(`${this.path}/cancel`)));
    };
    const dialog = /** @type {HTMLDialogElement} */ (
      element(
        "dialog",
        { "aria-labelledby": "ask", onclose: close },
        element(
          "div",
          { class: "stack" },
          element("h2", { id: "ask" }, `Cancel “${nameOf(batch)}”?`),
          element("p", {}, text),
          element(
            "div",
            { class: "row" },
            element("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Keep it running"),
            element("button", { class: "button danger", type: "button", onclick: confirm }, "Cancel the batch"),
          ),
        ),
      )
    );
    document.body.append(dialog);
    dialog.showModal();
  }

  #retry() {
    return this.#try(this.retry, async () => {
      this.token ??= crypto.randomUUID?.() ?? String(Math.random());
      const created = await this.context.api.post(`${this.path}/retry`, {}, { headers: { "Idempotency-Key": this.token } });
      this.context.announce("A new batch retries the lines");
      this.context.go(`#/batches/${encodeURIComponent(created.id)}`);
    });
  }

  /** @param {"output" | "error"} kind */
  #download(kind) {
    const batch = /** @type {Batch} */ (this.batch);
    const pressed = kind === "output" ? this.output : this.errors;
    return this.#try(pressed, async () => {
      const usual = labelOf(pressed);
      const show = (/** @type {number} */ size) => labelOf(pressed, bytes(size));
      try {
        await download(this.context, batch[`${kind}_file_id`], `${batch.id}_${kind}.jsonl`, show);
      } finally {
        labelOf(pressed, usual);
      }
    });
  }

  /** @param {HTMLElement} pressed @param {() => Promise<void>} act */
  async #try(pressed, act) {
    setText(this.problem, "");
    pressed.setAttribute("aria-disabled", "true");
    try {
      await act();
    } catch (error) {
      if (!this.context.signal.aborted) setText(this.problem, error instanceof Error ? error.message : String(error));
    } finally {
      pressed.removeAttribute("aria-disabled");
    }
  }
}

/**
 * Save a file of the API on the user's disk. A link cannot send the key, so the content passes through the page.
 * @param {import("./app.js").Context} context
 * @param {string} fileId
 * @param {string} name
 * @param {(bytes: number) => void} [onProgress]
 */
export async function download({ api, signal }, fileId, name, onProgress = () => {}) {
  const response = await api.fetch(`files/${encodeURIComponent(fileId)}/content`, { signal });
  const chunks = [];
  let size = 0;
  if (response.body) {
    const reader = response.body.getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      chunks.push(read.value);
      onProgress((size += read.value.length));
    }
  }
  const url = URL.createObjectURL(new Blob(chunks, { type: "application/octet-stream" }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** @param {any} name @param {string} label @param {() => unknown} act @param {string} [look] */
function button(name, label, act, look = "") {
  const press = (/** @type {Event} */ event) => {
    if (!(/** @type {Element} */ (event.currentTarget).hasAttribute("aria-disabled"))) void act();
  };
  return element("button", { class: `button ${look}`.trim(), type: "button", onclick: press, hidden: true }, icon(name), element("span", {}, label));
}

/** Get or set the label of a button. @param {HTMLElement} pressed @param {string} [text] */
function labelOf(pressed, text) {
  const label = /** @type {HTMLElement} */ (pressed.lastElementChild);
  if (text !== undefined) setText(label, text);
  return label.textContent ?? "";
}
