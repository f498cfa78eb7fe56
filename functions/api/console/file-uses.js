/** Which batch a file belongs to: as its input, its results or its errors. */

import { nameOf } from "./status.js";

/** So many of the latest batches are asked for. */
const MAX_BATCHES = 100;
/** @type {[string, string][]} */
const ROLES = [
  ["input_file_id", "Input of"],
  ["output_file_id", "Results of"],
  ["error_file_id", "Errors of"],
];

/** @typedef {{ role: string, name: string, href: string }} Use */

export class FileUses {
  constructor() {
    /** @type {Map<string, Use>} */
    this.uses = new Map();
    this.known = "";
  }

  /**
   * Read the batches again if there are other files than last time.
   * @param {import("./app.js").Context} context
   * @param {{ id: string }[]} files
   */
  async update({ api, signal }, files) {
    const ids = files.map(({ id }) => id).join();
    if (ids === this.known) return;
    const { data } = await api.get("batches", { limit: MAX_BATCHES }, { signal });
    // The latest batch of a file comes first in the list, and must win.
    for (const batch of data.reverse()) {
      const href = `#/batches/${encodeURIComponent(batch.id)}`;
      for (const [key, role] of ROLES) if (batch[key]) this.uses.set(batch[key], { role, name: nameOf(batch), href });
    }
    this.known = ids;
  }

  /** @param {string} fileId @returns {Use | null} null if it is of none of the latest batches */
  of(fileId) {
    return this.uses.get(fileId) ?? null;
  }
}
