/** The page "Endpoints". */

import { element, replace } from "./dom.js";

export const title = "Endpoints";

/** @type {import("./app.js").Page["show"]} */
export async function show(main) {
  replace(main, element("h1", {}, title));
}
