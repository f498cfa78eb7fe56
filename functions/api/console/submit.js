/** Uploads the file of a new batch, and creates the batch. What has been uploaded is kept if creating fails. */

import { element, icon, replace, setText } from "./dom.js";
import { bytes, duration, percent } from "./format.js";
import { Meter } from "./meter.js";
import { Upload } from "./upload.js";

/** The speed is that of the last seconds. */
const SPEED_SECONDS = 8;

export class Submission {
  /**
   * @param {import("./app.js").Context} context
   * @param {File} file
   * @param {() => object} parameters of the batch, without its input file
   * @param {{ onBusy: (isBusy: boolean) => void, onCreated: () => void }} listeners
   */
  constructor(context, file, parameters, { onBusy, onCreated }) {
    this.context = context;
    this.file = file;
    this.parameters = parameters;
    this.onBusy = onBusy;
    this.onCreated = onCreated;
    this.upload = new Upload(context.api, file, (sent) => this.#showSent(sent));
    /** @type {import("./upload.js").StoredFile | null} */
    this.stored = null;
    this.stop = new AbortController();
    /** Idempotency keys: the same parameters create one batch, however often they are sent. @type {Map<string, string>} */
    this.tokens = new Map();
    /** @type {{ at: number, sent: number }[]} */
    this.samples = [];
    this.label = element("span", {}, "Upload and create");
    this.button = element("button", { class: "button primary wide", type: "button", disabled: true, onclick: () => this.run() }, icon("upload"), this.label);
    this.cancel = element("button", { class: "button", type: "button", hidden: true, onclick: () => this.#cancel() }, icon("cancel"), "Cancel");
    this.meter = new Meter("Upload");
    this.state = element("p", { class: "muted small" });
    this.progress = element("div", { class: "stack tight", hidden: true }, this.meter.node, this.state);
    this.problem = element("div", { class: "stack tight" });
    this.node = element("div", { class: "stack tight submit" }, this.button, this.progress, this.cancel, this.problem);
  }

  /** @param {boolean} isReady whether the file is valid */
  enable(isReady) {
    /** @type {HTMLButtonElement} */ (this.button).disabled = !isReady;
  }

  /** Leave nothing behind that no batch uses. */
  async discard() {
    this.stop.abort();
    await this.upload.discard();
  }

  async run() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.#begin();
    window.addEventListener("beforeunload", askBeforeLeaving);
    try {
      this.stored ??= await this.upload.run(signal);
      this.cancel.hidden = true;
      setText(this.state, "Creating the batch …");
      const batch = await this.#create(this.stored.id, signal);
      this.onCreated();
      this.context.announce("The batch is created");
      // Whoever is on another page meanwhile stays there.
      if (!this.context.signal.aborted) this.context.go(`#/batches/${encodeURIComponent(batch.id)}`);
    } catch (error) {
      if (!signal.aborted) this.#fail(error instanceof Error ? error.message : String(error));
    } finally {
      window.removeEventListener("beforeunload", askBeforeLeaving);
    }
  }

  /** @param {string} fileId @param {AbortSignal} signal */
  #create(fileId, signal) {
    const body = { input_file_id: fileId, ...this.parameters() };
    const key = JSON.stringify(body);
    const token = this.tokens.get(key) ?? randomToken();
    this.tokens.set(key, token);
    return this.context.api.post("batches", body, { signal, headers: { "Idempotency-Key": token } });
  }

  #begin() {
    this.onBusy(true);
    this.samples = [];
    this.button.hidden = true;
    this.progress.hidden = false;
    this.cancel.hidden = this.stored !== null;
    replace(this.problem);
    if (this.stored) this.meter.set(1);
    else this.#showSent(this.upload.bytesSent);
    this.context.announce("Uploading");
  }

  async #cancel() {
    this.stop.abort();
    this.#reset("Upload and create");
    this.meter.set(0);
    this.progress.hidden = true;
    this.context.announce("The upload is cancelled");
    await this.upload.discard();
  }

  /** @param {string} message */
  #fail(message) {
    const hasParts = this.upload.bytesSent > 0;
    this.#reset(this.stored ? "Create again" : hasParts ? "Continue the upload" : "Try again");
    const what = this.stored ? "The batch was not created" : "The upload stopped";
    const kept = this.stored
      ? ["The file is uploaded and kept: ", element("code", {}, this.stored.id)]
      : [hasParts ? "What has arrived is kept for an hour." : "Nothing has arrived yet."];
    replace(
      this.problem,
      element("div", { class: "callout bad", role: "alert" }, icon("alert"), element("div", {}, element("strong", {}, what), message, element("div", {}, ...kept))),
    );
  }

  /** @param {string} label */
  #reset(label) {
    this.onBusy(false);
    setText(this.label, label);
    this.button.hidden = false;
    this.cancel.hidden = true;
    setText(this.state, "");
    this.button.focus();
  }

  /** @param {number} sent bytes */
  #showSent(sent) {
    const { size } = this.file;
    const at = performance.now() / 1000;
    this.samples = [...this.samples.filter((each) => at - each.at < SPEED_SECONDS), { at, sent }];
    const [first] = this.samples;
    const speed = at - first.at > 1 ? (sent - first.sent) / (at - first.at) : 0;
    const pace = sent >= size ? ["being stored"] : speed > 0 ? [`${bytes(speed)}/s`, `${duration((size - sent) / speed)} left`] : [];
    this.meter.set(size ? sent / size : 1, `${percent(sent / size)} uploaded`);
    setText(this.state, [`${bytes(sent)} of ${bytes(size)}`, ...pace].join(" · "));
  }
}

/** An upload ends with the tab. @param {BeforeUnloadEvent} event */
function askBeforeLeaving(event) {
  event.preventDefault();
}

/** Without `crypto.randomUUID`, which plain HTTP pages do not have. */
function randomToken() {
  return `console-${Array.from(crypto.getRandomValues(new Uint32Array(4)), (each) => each.toString(16).padStart(8, "0")).join("")}`;
}
