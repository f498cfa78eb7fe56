/** The side of a batch's page: its states, tokens, cost and details. */

import { element, replace } from "./dom.js";
import { NONE, bytes, compact, count, dateTime, dollars, duration, now, time } from "./format.js";
import { statesOf } from "./batch-waits.js";
import { isActive } from "./status.js";

/** @typedef {import("./status.js").Batch} Batch */

const RECEIPT_SECONDS = 15;

/** The cards at the side. */
export class Facts {
  constructor() {
    this.states = element("ol", { class: "timeline" });
    this.tokens = element("dl", { class: "facts" });
    this.cost = element("div");
    this.details = element("dl", { class: "facts" });
    this.nodes = [
      card("Timeline", this.states),
      card("Tokens", this.tokens),
      card("Cost and work", this.cost),
      card("Details", this.details),
    ];
    this.shown = "";
    this.receipt = "";
    this.askedAt = 0;
    this.isFinal = false;
  }

  /** @param {Batch} batch */
  update(batch) {
    const key = JSON.stringify([batch.status, batch.usage, batch.model, batch.output_file_id, batch.error_file_id, statesOf(batch)]);
    if (key === this.shown) return;
    this.shown = key;
    replace(this.states, statesOf(batch).map((state) => stateOf(state)));
    replace(this.tokens, tokensOf(batch));
    replace(this.details, detailsOf(batch));
  }

  /**
   * @param {Batch} batch
   * @param {import("./api.js").Api} api
   * @param {string} path
   * @param {AbortSignal} signal
   */
  async refresh(batch, api, path, signal) {
    if (this.isFinal || now() - this.askedAt < RECEIPT_SECONDS) return;
    this.askedAt = now();
    const isFinal = !isActive(batch);
    const receipt = await api.get(`${path}/receipt`, {}, { signal });
    this.isFinal = isFinal;
    if (JSON.stringify(receipt) === this.receipt) return;
    this.receipt = JSON.stringify(receipt);
    replace(this.cost, receiptOf(receipt));
  }
}

/** @param {string} heading @param {...any} children */
function card(heading, ...children) {
  return element("section", { class: "card", "aria-label": heading }, element("h2", {}, heading), ...children);
}

/** @param {{ label: string, at: number | null, lasted: string }} state */
function stateOf({ label, at, lasted }) {
  return element(
    "li",
    { class: at === null ? "ahead" : "" },
    element("span", { class: "label" }, label, at === null && element("span", { class: "hidden-text" }, " (not yet)")),
    at !== null && element("time", { class: "muted small", title: dateTime(at) }, time(at)),
    lasted && element("span", { class: "muted small lasted" }, lasted),
  );
}

/** @param {string} name @param {any} value @param {string} [title] */
function fact(name, value, title) {
  return element("div", { title }, element("dt", { class: "muted" }, name), element("dd", {}, value));
}

/** @param {Batch} batch */
function tokensOf({ usage }) {
  const cached = usage.input_tokens_details.cached_tokens;
  const reasoning = usage.output_tokens_details.reasoning_tokens;
  return [
    fact("Input", count(usage.input_tokens)),
    cached > 0 && fact("of them cached", count(cached)),
    fact("Output", count(usage.output_tokens)),
    reasoning > 0 && fact("of them reasoning", count(reasoning)),
    fact("Total", element("strong", {}, count(usage.total_tokens))),
  ];
}

/** @param {Batch} batch */
function detailsOf(batch) {
  const file = (/** @type {string | null} */ id) =>
    id ? element("a", { href: "#/files", class: "mono", title: id }, id.length > 22 ? `${id.slice(0, 18)}…` : id) : NONE;
  const metadata = Object.entries(batch.metadata ?? {}).map(([name, value]) =>
    fact(name, name === "retry_of" ? element("a", { href: `#/batches/${encodeURIComponent(value)}`, class: "mono" }, `${value.slice(0, 18)}…`) : value),
  );
  return [
    fact("Model", batch.model ?? NONE),
    fact("Endpoint", element("code", {}, batch.endpoint)),
    fact("Created", dateTime(batch.created_at)),
    fact(isActive(batch) ? "Window ends" : "Window", isActive(batch) ? dateTime(batch.expires_at) : batch.completion_window),
    fact("Input file", file(batch.input_file_id)),
    fact("Output file", file(batch.output_file_id)),
    fact("Error file", file(batch.error_file_id)),
    metadata.length > 0 && element("div", { class: "divider" }, element("dt", { class: "muted small" }, "Metadata")),
    metadata,
  ];
}

/** @param {any} receipt */
function receiptOf({ aws, seconds, requests, work, is_final: isFinal }) {
  const parallel = seconds.running > 0 ? seconds.in_flight / seconds.running : 0;
  const services = aws.services
    .filter((/** @type {any} */ each) => each.dollars > 0)
    .sort((/** @type {any} */ a, /** @type {any} */ b) => b.dollars - a.dollars)
    .map((/** @type {any} */ each) => fact(each.service, dollars(each.dollars), `${count(each.requests)} requests`));
  return [
    element("p", { class: "price" }, dollars(aws.dollars), element("span", { class: "muted small" }, aws.is_estimate ? " on AWS, estimated" : " on AWS")),
    element("p", { class: "muted small" }, isFinal ? "Nightlane's share; the model's price is not in it." : "So far; the model's price is not in it."),
    element(
      "dl",
      { class: "facts" },
      fact("Waited", duration(seconds.waiting)),
      fact("Ran", duration(seconds.running)),
      fact("Requests", count(requests.sent)),
      requests.refused > 0 && fact("Refused", count(requests.refused)),
      parallel > 0 && fact("In flight on average", parallel.toFixed(1)),
      fact("Read, written", `${bytes(work.input_bytes)}, ${bytes(work.output_bytes)}`),
      fact("Checkpoints", compact(work.checkpoints)),
    ),
    services.length > 0 && element("details", {}, element("summary", {}, "By service"), element("dl", { class: "facts" }, services), element("p", { class: "muted small" }, `${aws.prices}.`)),
  ];
}
