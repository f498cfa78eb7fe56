/** The page "New batch": a file is checked here, then uploaded, and its batch created. */

import { BatchForm } from "./batch-form.js";
import { element, replace } from "./dom.js";
import { EstimateView } from "./estimate-view.js";
import { bytes, count, plural } from "./format.js";
import { InputView, acceptDrops, dropZone } from "./input-view.js";
import { Submission } from "./submit.js";
import { findEndpoint, validateFile } from "./validate.js";

export const title = "New batch";
const DEFAULT_MODEL = "your-model";

/** A file and its upload are kept while other pages are shown. @type {NewBatchPage | null} */
let kept = null;

/** @type {import("./app.js").Page["show"]} */
export async function show(main, context) {
  if (kept?.context.api.key !== context.api.key) {
    kept?.forget();
    kept = null;
  }
  const page = kept ?? new NewBatchPage(context, await context.api.get("batches/limits", {}, { signal: context.signal }));
  page.enter(context);
  kept = page;
  replace(main, page.node);
  acceptDrops(main, (file) => void page.choose(file), context.signal);
}

class NewBatchPage {
  /** @param {import("./app.js").Context} context @param {import("./validate.js").Limits} limits */
  constructor(context, limits) {
    this.context = context;
    this.limits = limits;
    this.checking = new AbortController();
    /** @type {File | undefined} */
    this.file = undefined;
    /** @type {Submission | undefined} */
    this.submission = undefined;
    this.content = element("div", {}, this.#zone());
    const rules = `Up to ${count(limits.max_lines)} requests and ${bytes(limits.max_bytes)}.`;
    this.node = element(
      "div",
      { class: "stack new-batch" },
      element("div", {}, element("h1", {}, title), element("p", { class: "muted summary" }, rules)),
      this.content,
    );
  }

  #zone() {
    return dropZone((file) => void this.choose(file), () => this.#findModel());
  }

  /** @param {import("./app.js").Context} context of the page, which is shown again */
  enter(context) {
    this.context = context;
    if (this.submission) this.submission.context = context;
  }

  /** @param {File} file */
  async choose(file) {
    if (this.isBusy) return;
    this.forget();
    this.file = file;
    const endpoints = this.limits.endpoints.map(({ path }) => path);
    const endpoint = (await findEndpoint(file, this.limits)) ?? endpoints[0];
    if (this.file !== file) return;
    this.form = new BatchForm(endpoints, endpoint, file.name.replace(/\.\w+$/, ""), {
      onEndpoint: () => void this.#check(),
      onAssumed: () => void this.estimate?.refresh(),
    });
    const { form } = this;
    this.estimate = new EstimateView(this.context, form);
    this.view = new InputView(file, this.estimate.node, () => this.#startOver());
    this.submission = new Submission(this.context, file, () => form.parameters, {
      onBusy: (isBusy) => this.#setBusy(isBusy),
      onCreated: () => (kept = null),
    });
    const side = element("div", { class: "stack side" }, form.node, this.submission.node);
    replace(this.content, element("div", { class: "columns" }, this.view.node, side));
    this.view.other.focus();
    await this.#check();
  }

  /** Check the file for the endpoint that is chosen. */
  async #check() {
    const { file, view, form, estimate, submission } = this;
    if (!file || !view || !form || !estimate || !submission) return;
    this.checking.abort();
    this.checking = new AbortController();
    const { signal } = this.checking;
    estimate.clear();
    submission.enable(false);
    try {
      const report = await validateFile(file, form.endpoint.value, this.limits, {
        signal,
        onProgress: (found, share) => view.update(found, share),
      });
      view.update(report, 1);
      this.context.announce(report.isValid ? `${plural(report.lines, "request")}, all valid` : plural(report.invalid, "error"));
      if (!report.isValid) return;
      submission.enable(true);
      await estimate.show(report);
    } catch (error) {
      if (signal.aborted) return;
      this.#startOver();
      // The browser could not read it: it was moved, or changed since it was chosen.
      this.content.append(element("p", { class: "problem", role: "alert" }, "The file cannot be read. Please choose it again."));
    }
  }

  #startOver() {
    this.forget();
    replace(this.content, this.#zone());
    document.getElementById("input-file")?.focus();
  }

  /** Stop what is going on, and give up what has been uploaded. */
  forget() {
    this.estimate?.clear();
    this.checking.abort();
    void this.submission?.discard();
    this.file = this.submission = undefined;
  }

  /** @param {boolean} isBusy */
  #setBusy(isBusy) {
    this.isBusy = isBusy;
    this.form?.disable(isBusy);
    if (this.view) /** @type {HTMLButtonElement} */ (this.view.other).disabled = isBusy;
  }

  /** A model for the example; the endpoint may have no list of them. */
  async #findModel() {
    try {
      const { data } = await this.context.api.get("models", {}, { signal: this.context.signal });
      return data[0]?.id ?? DEFAULT_MODEL;
    } catch {
      return DEFAULT_MODEL;
    }
  }
}
