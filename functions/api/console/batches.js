/** The page "Batches". */

import { element, replace } from "./dom.js";

export const title = "Batches";

/** @type {import("./app.js").Page["show"]} */
export async function show(main) {
  replace(main, element("h1", {}, title));
}
