/** The page "Endpoints": the inference endpoints and how they are doing, and the models that batches may use. */

import { element, icon, replace, setText } from "./dom.js";
import { compact, count, dateTime, now, percent, plural, roughly, time } from "./format.js";
import { Meter } from "./meter.js";
import { every } from "./poll.js";

/**
 * What `GET upstreams` returns of each.
 * @typedef {object} Upstream
 * @property {string} name
 * @property {string[]} models patterns
 * @property {"ok" | "resting" | "closed"} status
 * @property {{ now: number | null, max: number | null }} limit requests in flight
 * @property {number | null} requests
 * @property {number | null} refusals
 * @property {number | null} resting_until
 * @property {{ opens_at: number | null, closes_at: number | null } | null} active_hours
 * @property {{ kind: string, status: number | null, message: string, since: number } | null} last_error
 */

export const title = "Endpoints";
const POLL_SECONDS = 3;
const MODELS_POLL_SECONDS = 60;
const MAX_MODELS = 200;
/** @type {Record<string, { label: string, look: string }>} */
const STATUSES = {
  ok: { label: "Healthy", look: "good" },
  resting: { label: "Resting", look: "warm" },
  closed: { label: "Closed", look: "" },
};

/** @type {import("./app.js").Page["show"]} */
export async function show(main, { api, signal }) {
  const summary = element("p", { class: "muted summary" });
  const upstreams = element("div", { class: "upstreams" });
  const models = new Models();
  replace(main, element("div", { class: "stack" }, element("div", {}, element("h1", {}, title), summary), upstreams, models.node));
  let shown = "";
  const loadUpstreams = async () => {
    const { data } = await api.get("upstreams", {}, { signal });
    const healthy = data.filter((/** @type {Upstream} */ each) => each.status === "ok").length;
    setText(summary, `${plural(data.length, "endpoint")}, ${healthy === data.length ? "all healthy" : `${count(healthy)} healthy`}`);
    const at = now();
    const text = JSON.stringify([data, data.map((/** @type {Upstream} */ each) => noteOf(each, at))]);
    if (text !== shown) replace(upstreams, data.map((/** @type {Upstream} */ each) => card(each, at)));
    shown = text;
  };
  const loadModels = async () => models.update((await api.get("models", {}, { signal })).data);
  await Promise.all([every(POLL_SECONDS, loadUpstreams, signal), every(MODELS_POLL_SECONDS, () => models.try(loadModels), signal)]);
}

/** @param {Upstream} upstream @param {number} at */
function card(upstream, at) {
  const { name, models, last_error: last } = upstream;
  const { label, look } = STATUSES[upstream.status] ?? { label: upstream.status, look: "" };
  const id = `upstream-${name}`;
  return element(
    "section",
    { class: "card upstream", "aria-labelledby": id },
    element("div", { class: "row between" }, element("h2", { id }, name), element("span", { class: `badge ${look}` }, label)),
    limitOf(upstream),
    element(
      "dl",
      { class: "facts" },
      fact("Requests", upstream.requests === null ? "–" : compact(upstream.requests)),
      fact("Refused", refusedOf(upstream)),
      fact("Availability", noteOf(upstream, at)),
    ),
    element("ul", { class: "chips", "aria-label": "Models it takes" }, models.map((pattern) => element("li", { class: "chip" }, pattern))),
    last && element(
      "div",
      { class: upstream.status === "ok" ? "callout" : "callout bad" },
      icon("alert"),
      element("div", {}, element("strong", {}, [last.status, last.kind].filter(Boolean).join(" ")), last.message, element("div", { class: "small" }, `since ${dateTime(last.since)}`)),
    ),
  );
}

/** @param {Upstream} upstream */
function limitOf({ name, limit }) {
  const { now: current, max } = limit;
  if (current === null && max === null) return element("p", { class: "muted small" }, "No limit is known yet.");
  const text = current === null ? `at most ${count(max ?? 0)}` : max === null ? count(current) : `${count(current)} of ${count(max)}`;
  const meter = new Meter(`Limit of ${name}`, "meter");
  meter.set(current === null || !max ? 0 : current / max, text);
  const row = element("div", { class: "row between" }, element("span", { class: "muted" }, "Requests in flight, limit now"), element("strong", {}, text));
  return element("div", { class: "limit" }, row, max !== null && meter.node);
}

/** @param {Upstream} upstream */
function refusedOf({ requests, refusals }) {
  if (refusals === null || requests === null) return "–";
  return refusals && requests ? `${compact(refusals)} · ${percent(Math.min(1, refusals / requests))}` : count(refusals);
}

/** When it may be used, or used again. @param {Upstream} upstream @param {number} at */
function noteOf({ status, resting_until: until, active_hours: hours }, at) {
  if (status === "resting" && until && until > at) return `tried again in ${roughly(until - at)}`;
  if (!hours) return "always";
  if (status === "closed" && hours.opens_at) return `opens at ${time(hours.opens_at)}, in ${roughly(hours.opens_at - at)}`;
  return hours.closes_at ? `open until ${time(hours.closes_at)}` : "open";
}

/** @param {string} name @param {string} value */
const fact = (name, value) => element("div", {}, element("dt", { class: "muted" }, name), element("dd", {}, value));

/** The models that the endpoints list. */
class Models {
  constructor() {
    /** @type {string[]} */
    this.ids = [];
    this.query = "";
    this.summary = element("span", { class: "muted small" });
    this.list = element("ul", { class: "chips", "aria-label": "Models" });
    const search = element("input", { type: "search", "aria-label": "Search models", placeholder: "Search models", spellcheck: "false" });
    search.addEventListener("input", () => {
      this.query = /** @type {HTMLInputElement} */ (search).value.trim().toLowerCase();
      this.#show();
    });
    this.search = element("div", { class: "search", hidden: true }, icon("search"), search);
    this.node = element(
      "section",
      { class: "card models", "aria-labelledby": "models-title" },
      element("div", { class: "row between" }, element("h2", { id: "models-title" }, "Models"), this.summary),
      element("p", { class: "muted small" }, "As the endpoints list them. A batch may also use one that is not listed, if an endpoint takes it."),
      this.search,
      this.list,
    );
  }

  /** @param {{ id: string }[]} models */
  update(models) {
    this.ids = models.map(({ id }) => id).sort();
    this.search.hidden = this.ids.length < 12;
    this.#show();
  }

  /** An endpoint that does not answer is shown above; only its models are missing here. @param {() => Promise<void>} load */
  async try(load) {
    try {
      await load();
    } catch (error) {
      setText(this.summary, error instanceof Error ? error.message : String(error));
    }
  }

  #show() {
    const found = this.ids.filter((id) => id.toLowerCase().includes(this.query));
    setText(this.summary, plural(found.length, "model"));
    replace(this.list, found.slice(0, MAX_MODELS).map((id) => element("li", { class: "chip" }, id)));
  }
}
