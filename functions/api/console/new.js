/** The page "New batch". */

import { element, replace } from "./dom.js";

export const title = "New batch";

/** @type {import("./app.js").Page["show"]} */
export async function show(main) {
  replace(main, element("h1", {}, title));
}
