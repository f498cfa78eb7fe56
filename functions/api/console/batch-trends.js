/** Throughput and latency over time. */

import { Chart } from "./chart.js";
import { element } from "./dom.js";
import { latency, now, rate } from "./format.js";
import { isActive } from "./status.js";

const SECONDS = 5;

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
    this.node = element("section", { class: "card stack", "aria-label": "Throughput and latency" }, this.throughput.node, this.latency.node);
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
    const { points } = await api.get(`${path}/history`, {}, { signal });
    this.isFinal = isFinal;
    const each = (/** @type {any} */ { start, seconds, completed, failed }) => ({
      start,
      seconds,
      values: [completed / seconds, failed / seconds],
    });
    this.throughput.draw(points.map(each));
    this.latency.draw(points.map((/** @type {any} */ { start, seconds, mean_latency_ms }) => ({ start, seconds, values: [mean_latency_ms] })));
  }
}
