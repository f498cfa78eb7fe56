/** The card with the estimate of a batch. */

import { element, icon, replace, setText } from "./dom.js";
import { estimate, findMissing } from "./estimate.js";
import { count, dollars, duration, latency } from "./format.js";
import { sleep } from "./poll.js";

const PAUSE_FOR_TYPING_SECONDS = 0.3;

export class EstimateView {
  /** @param {import("./app.js").Context} context @param {import("./batch-form.js").BatchForm} form */
  constructor({ api }, form) {
    this.api = api;
    this.form = form;
    this.body = element("div", { class: "stack tight", "aria-live": "polite" });
    this.missing = element("div", { class: "callout", role: "alert", hidden: true });
    this.node = element(
      "section",
      { class: "card stack tight", "aria-labelledby": "estimate-title", hidden: true },
      element("h2", { id: "estimate-title" }, "Estimate"),
      this.body,
      this.missing,
      form.assumptions,
    );
    this.latest = new AbortController();
    this.clear();
  }

  /** Show nothing, because the file is not valid, or not checked yet. */
  clear() {
    this.latest.abort();
    this.report = null;
    this.missing.hidden = true;
    this.node.hidden = true;
  }

  /** @param {import("./validate.js").Report} report of a valid file */
  async show(report) {
    this.report = report;
    await this.#ask(report, 0);
  }

  /** The assumptions have changed. */
  async refresh() {
    if (this.report) await this.#ask(this.report, PAUSE_FOR_TYPING_SECONDS);
  }

  /** @param {import("./validate.js").Report} report @param {number} pause in seconds */
  async #ask(report, pause) {
    this.latest.abort();
    this.latest = new AbortController();
    const { signal } = this.latest;
    await sleep(pause, signal);
    const { assumed } = this.form;
    if (signal.aborted || !assumed) return;
    try {
      const found = await estimate(this.api, report, assumed, signal);
      if (signal.aborted) return;
      this.node.hidden = false;
      this.#fill(found, assumed);
      this.#warn(await findMissing(this.api, found.models, signal));
    } catch (error) {
      if (!signal.aborted) replace(this.body, element("p", { class: "problem small" }, icon("alert"), error instanceof Error ? error.message : String(error)));
    }
  }

  /** @param {import("./estimate.js").Estimate} found @param {import("./estimate.js").Assumed} assumed */
  #fill({ seconds, requests_in_flight: slots, aws }, assumed) {
    const free = !aws.is_billed;
    replace(
      this.body,
      element(
        "dl",
        { class: "figures" },
        element("div", {}, element("dt", { class: "muted small" }, "Duration"), element("dd", { class: "price" }, `≈ ${duration(seconds)}`)),
        element("div", {}, element("dt", { class: "muted small" }, free ? "On AWS it would cost" : "Cost on AWS"), element("dd", { class: "price" }, dollars(aws.dollars))),
      ),
      element(
        "p",
        { class: "muted small" },
        `With ${count(slots)} requests in flight, each of ${latency(assumed.seconds * 1000)} with an answer of ${count(assumed.answerBytes)} bytes. `,
        free ? "This machine bills nothing. " : "",
        "The inference endpoint is not included.",
      ),
      element(
        "details",
        {},
        element("summary", {}, "By service"),
        element(
          "dl",
          { class: "facts" },
          aws.services.map(({ service, dollars: each }) => element("div", {}, element("dt", {}, service), element("dd", {}, dollars(each)))),
        ),
        element("p", { class: "muted small" }, aws.prices),
      ),
    );
  }

  /** @param {string[]} models */
  #warn(models) {
    this.missing.hidden = models.length === 0;
    if (!models.length) return replace(this.missing);
    const text = element("div");
    setText(text, `No endpoint has ${models.map((model) => `“${model}”`).join(", ")}. The batch would fail with model_not_found.`);
    replace(this.missing, icon("alert"), text);
  }
}
