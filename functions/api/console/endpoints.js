/** The page "Endpoints": the inference endpoints and how they are doing, and the models that batches may use. */

import { element, icon, replace, setText } from "./dom.js";
import { compact, count, dateTime, now, percent, plural, roughly } from "./format.js";
import { Meter } from "./meter.js";
import { every } from "./poll.js";

/**
 * What `GET upstreams` returns of each.
 * @typedef {object} Upstream
 * @property {string} name
 * @property {string[]} models patterns
 * @property {"ok" | "resting" | "closed"} status
 * @property {{ now: number | null, max: number | null }} limit requests in flight: what was last learned, if it is
 *   less than allowed, and the most of all batches together
 * @property {number} counted_since
 * @property {number} requests
 * @property {number} refusals
 * @property {number | null} resting_until
 * @property {{ hours: string, opens_at: number | null, closes_at: number | null } | null} active_hours
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
      fact(`Requests in ${roughly(at - upstream.counted_since)}`, compact(upstream.requests)),
      fact("Refused", refusedOf(upstream)),
      upstream.active_hours && fact("Hours", upstream.active_hours.hours),
      fact("Now", noteOf(upstream, at)),
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
  const { max } = limit;
  const current = limit.now ?? max;
  const text = current === null ? "each batch's own" : max === null ? count(current) : `${count(current)} of ${count(max)}`;
  const row = element("div", { class: "row between" }, element("span", { class: "muted" }, "Limit of requests in flight"), element("strong", {}, text));
  if (current === null || max === null) return element("div", { class: "limit" }, row);
  const meter = new Meter(`Limit of ${name}`, "meter");
  meter.set(current / max, text);
  return element("div", { class: "limit" }, row, meter.node);
}

/** @param {Upstream} upstream */
function refusedOf({ requests, refusals }) {
  return refusals && requests ? `${compact(refusals)} · ${percent(Math.min(1, refusals / requests))}` : count(refusals);
}

/** What it does now, and until when. @param {Upstream} upstream @param {number} at */
function noteOf({ status, resting_until: until, active_hours: hours }, at) {
  if (status === "resting") return until && until > at ? `tried again in ${roughly(until - at)}` : "is tried again";
  if (hours?.opens_at) return `opens in ${roughly(hours.opens_at - at)}`;
  return hours?.closes_at ? `open for ${roughly(hours.closes_at - at)}` : "takes requests";
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
