/** What the lists of batches and files have in common: the heading, the search and the filters. */

import { element, icon } from "./dom.js";

/**
 * The heading of a list, with the way to a new batch.
 * @param {string} title
 * @param {Element} summary
 */
export function heading(title, summary) {
  const create = element("a", { class: "button primary create", href: "#/new" }, icon("new"), "New batch");
  return element("div", { class: "row between" }, element("div", {}, element("h1", {}, title), summary), create);
}

/**
 * A button for each filter, of which the first is pressed.
 * @param {{ label: string }[]} filters
 * @param {(at: number) => void} choose
 */
export function filterButtons(filters, choose) {
  return filters.map(({ label }, at) =>
    element("button", { type: "button", class: "filter", "aria-pressed": String(at === 0), onclick: () => choose(at) }, label),
  );
}

/**
 * @param {Element} search the input
 * @param {Element[]} filters their buttons
 */
export function tools(search, filters) {
  return element(
    "div",
    { class: "tools" },
    element("div", { class: "search" }, icon("search"), search),
    element("div", { class: "filters", role: "group", "aria-label": "Show" }, filters),
  );
}
