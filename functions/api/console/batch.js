/** The page "Batch". */

import { element, replace } from "./dom.js";

export const title = "Batch";

/** @type {import("./app.js").Page["show"]} */
export async function show(main) {
  replace(main, element("h1", {}, title));
}
