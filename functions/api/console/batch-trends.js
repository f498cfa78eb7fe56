/** Throughput and latency over time. */

import { Chart } from "./chart.js";
import { element } from "./dom.js";
import { latency, now, rate } from "./format.js";
import { isActive } from "./status.js";

const SECONDS = 5;
/** Points on each side that share with an empty one. */
const NEIGHBOURS = 3;
const NOT_YET_COMMITTED = 2;

/** @typedef {{ start: number, seconds: number, completed: number, failed: number, mean_latency_ms: number | null }} Point */

/** Two charts with the same times. */
export class Trends {
  constructor() {
    this.throughput = new Chart({
      title: "Lines per second",
      series: [
        { name: "completed", kind: "bar", look: "done" },
        { name: "failed", kind: "bar", look: "failed" },
      ],
      format: rate,
    });
    this.latency = new Chart({
      title: "Mean latency of the endpoint",
      series: [{ name: "latency", kind: "line", look: "line" }],
      format: latency,
      height: 110,
    });
    this.node = element("section", { class: "card stack", "aria-label": "Throughput and latency", hidden: true }, this.throughput.node, this.latency.node);
    this.askedAt = 0;
    this.isFinal = false;
  }

  /**
   * @param {import("./status.js").Batch} batch
   * @param {import("./api.js").Api} api
   * @param {string} path
   * @param {AbortSignal} signal
   */
  async refresh(batch, api, path, signal) {
    if (this.isFinal || now() - this.askedAt < SECONDS) return;
    this.askedAt = now();
    const isFinal = !isActive(batch);
    const history = await api.get(`${path}/history`, {}, { signal });
    this.isFinal = isFinal;
    const points = level(isFinal ? history.points : withoutNewest(history.points));
    // Nothing to see of a batch that waits or is not valid.
    this.node.hidden = points.length === 0;
    const each = (/** @type {any} */ { start, seconds, completed, failed }) => ({
      start,
      seconds,
      values: [completed / seconds, failed / seconds],
    });
    this.throughput.draw(points.map(each));
    this.latency.draw(points.map((/** @type {any} */ { start, seconds, mean_latency_ms }) => ({ start, seconds, values: [mean_latency_ms] })));
  }
}

/** Leave out the newest points while nothing is committed in them. @param {Point[]} points */
function withoutNewest(points) {
  let end = points.length;
  while (end > 0 && points.length - end < NOT_YET_COMMITTED && linesOf(points[end - 1]) === 0) end -= 1;
  return points.slice(0, end);
}

/**
 * Lines count when they are committed, which is about once a second on one machine. So now and then a second has
 * no commit, and the next has one as large as ever: the neighbours of such a point give it a part of theirs.
 * @param {Point[]} points
 */
function level(points) {
  const levelled = points.map((point) => ({ ...point }));
  points.forEach((point, i) => {
    const isGap = linesOf(point) === 0 && i > 0 && i + 1 < points.length && linesOf(points[i - 1]) && linesOf(points[i + 1]);
    if (!isGap) return;
    const shared = levelled.slice(Math.max(0, i - NEIGHBOURS), i + NEIGHBOURS + 1);
    for (const name of /** @type {const} */ (["completed", "failed"])) {
      const mean = shared.reduce((sum, each) => sum + each[name], 0) / shared.length;
      for (const each of shared) each[name] *= 1 - 1 / shared.length;
      levelled[i][name] = mean;
    }
  });
  return levelled;
}

/** @param {Point} point */
const linesOf = ({ completed, failed }) => completed + failed;
