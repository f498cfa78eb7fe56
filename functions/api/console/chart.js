/** Charts over time as inline SVG, each with a table of the same numbers. */

import { element, replace, setText, svg } from "./dom.js";
import { NONE, time } from "./format.js";

const LEFT = 46;
const RIGHT = 6;
const TOP = 10;
const BOTTOM = 20;
/** There is room for so many points, so that the first ones are not as wide as the chart. */
const MIN_POINTS = 12;
/** A line is drawn across so few points without a value. */
const MAX_MISSING = 2;

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {"bar" | "line"} kind bars of several series are stacked
 * @property {string} look a class of style.css: `done`, `failed` or `line`
 */

/**
 * @typedef {object} Point
 * @property {number} start seconds since 1970
 * @property {number} seconds
 * @property {(number | null)[]} values one for each series
 */

/** A chart that is redrawn in place when there are new points. */
export class Chart {
  /**
   * @param {object} options
   * @param {string} options.title
   * @param {Series[]} options.series
   * @param {(value: number) => string} options.format
   * @param {number} [options.height] in pixels
   */
  constructor({ title, series, format, height = 150 }) {
    this.series = series;
    this.format = format;
    this.height = height;
    /** @type {Point[]} */
    this.points = [];
    this.readout = element("p", { class: "muted small nowrap" });
    this.picture = svg("svg", { role: "img", "aria-label": title });
    this.rows = element("tbody");
    const head = ["From", ...series.map((each) => each.name)].map((name) => element("th", { scope: "col" }, name));
    const table = element("table", { class: "small" }, element("thead", {}, element("tr", {}, head)), this.rows);
    this.details = element("details", { ontoggle: () => this.#fillTable() }, element("summary", {}, "As a table"), table);
    this.node = element(
      "figure",
      { class: "chart" },
      element("figcaption", { class: "row between" }, element("h2", {}, title), this.readout),
      this.picture,
      this.details,
    );
    this.picture.addEventListener("pointermove", (event) => this.#point(/** @type {PointerEvent} */ (event)));
    this.picture.addEventListener("pointerleave", () => this.#unpoint());
    new ResizeObserver(() => this.#paint()).observe(this.node);
  }

  /** @param {Point[]} points in order, without overlaps */
  draw(points) {
    this.points = points;
    this.#paint();
    this.#fillTable();
  }

  #width() {
    return Math.max(240, this.node.clientWidth);
  }

  #scale() {
    const stacked = this.points.map((point) => {
      const bars = this.series.map((each, i) => (each.kind === "bar" ? (point.values[i] ?? 0) : 0));
      const lines = this.series.map((each, i) => (each.kind === "line" ? (point.values[i] ?? 0) : 0));
      return Math.max(bars.reduce((sum, value) => sum + value, 0), ...lines);
    });
    const max = roundUp(Math.max(...stacked, 0) || 1);
    const from = this.points[0]?.start ?? 0;
    const last = this.points[this.points.length - 1];
    const to = last ? Math.max(last.start + last.seconds, from + MIN_POINTS * last.seconds) : 1;
    const width = this.#width() - LEFT - RIGHT;
    const height = this.height - TOP - BOTTOM;
    return {
      max,
      from,
      to,
      x: (/** @type {number} */ at) => LEFT + ((at - from) / Math.max(1, to - from)) * width,
      y: (/** @type {number} */ value) => TOP + height - (value / max) * height,
    };
  }

  #paint() {
    if (!this.node.isConnected) return;
    const width = this.#width();
    const { max, from, to, x, y } = this.#scale();
    this.picture.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    const grid = [0, max / 2, max].map((value) => [
      svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
      svg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, this.format(value)),
    ]);
    const ends = this.points.length
      ? [
          svg("text", { x: LEFT, y: this.height - 4 }, time(from)),
          svg("text", { x: width - RIGHT, y: this.height - 4, "text-anchor": "end" }, time(to)),
        ]
      : [svg("text", { x: width / 2, y: this.height / 2, "text-anchor": "middle" }, "Nothing yet")];
    const marks = this.series.map((each, i) =>
      each.kind === "bar" ? this.#bars(i, x, y) : this.#line(i, x, y),
    );
    replace(this.picture, grid, marks, ends);
  }

  /** @param {number} index @param {(at: number) => number} x @param {(value: number) => number} y */
  #bars(index, x, y) {
    const path = this.points.map((point) => {
      const below = this.series
        .slice(0, index)
        .reduce((sum, each, i) => sum + (each.kind === "bar" ? (point.values[i] ?? 0) : 0), 0);
      const value = point.values[index] ?? 0;
      if (!value) return "";
      const left = x(point.start);
      const gap = Math.min(1, (x(point.start + point.seconds) - left) / 5);
      const right = Math.max(left + 0.5, x(point.start + point.seconds) - gap);
      return `M${left.toFixed(1)} ${y(below).toFixed(1)}V${y(below + value).toFixed(1)}H${right.toFixed(1)}V${y(below).toFixed(1)}z`;
    });
    return svg("path", { class: this.series[index].look, d: path.join("") });
  }

  /** @param {number} index @param {(at: number) => number} x @param {(value: number) => number} y */
  #line(index, x, y) {
    let pen = "M";
    let missing = 0;
    const places = [];
    for (const point of this.points) {
      const value = point.values[index];
      if (value === null || value === undefined) {
        missing += 1;
        continue;
      }
      if (missing > MAX_MISSING) pen = "M";
      missing = 0;
      places.push(`${pen}${x(point.start + point.seconds / 2).toFixed(1)} ${y(value).toFixed(1)}`);
      pen = "L";
    }
    const path = places.length === 1 ? `${places[0]}m-3 0h6` : places.join("");
    return svg("path", { class: this.series[index].look, d: path });
  }

  /** @param {PointerEvent} event */
  #point(event) {
    const box = this.picture.getBoundingClientRect();
    const { x } = this.#scale();
    const at = ((event.clientX - box.left) / box.width) * this.#width();
    const point = this.points.find((each) => at <= x(each.start + each.seconds)) ?? this.points.at(-1);
    if (!point) return;
    const middle = x(point.start + point.seconds / 2);
    this.#unpoint();
    this.picture.append(
      svg("line", { class: "cursor", x1: middle, x2: middle, y1: TOP, y2: this.height - BOTTOM }),
    );
    const values = this.series.map((each, i) => `${each.name} ${this.#text(point.values[i])}`);
    setText(this.readout, [time(point.start), ...values].join(" · "));
  }

  #unpoint() {
    this.picture.querySelector(".cursor")?.remove();
    setText(this.readout, "");
  }

  /** @param {number | null | undefined} value */
  #text(value) {
    return value === null || value === undefined ? NONE : this.format(value);
  }

  #fillTable() {
    if (!(/** @type {HTMLDetailsElement} */ (this.details).open)) return;
    const rows = this.points.map((point) => {
      const cells = point.values.map((value) => element("td", {}, this.#text(value)));
      return element("tr", {}, element("th", { scope: "row" }, time(point.start)), cells);
    });
    replace(this.rows, rows);
  }
}

/** @param {number} value the next round number */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 3, 4, 6, 8, 10].find((each) => each * power >= value) ?? 10;
  return step * power;
}
