/** A bar that shows how much of something is done or in use. */

import { element, setAttribute } from "./dom.js";

export class Meter {
  /** @param {string} label @param {"progressbar" | "meter"} [role] */
  constructor(label, role = "progressbar") {
    this.part = element("span", { class: "done" });
    this.node = element("div", { class: "bar", role, "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 }, this.part);
    this.set(0);
  }

  /** @param {number} share from 0 to 1 @param {string} [text] what screen readers say instead of the percentage */
  set(share, text) {
    const percent = Math.max(0, Math.min(100, share * 100));
    this.part.style.width = `${percent.toFixed(2)}%`;
    setAttribute(this.node, "aria-valuenow", String(Math.floor(percent)));
    setAttribute(this.node, "aria-valuetext", text ?? null);
  }
}
