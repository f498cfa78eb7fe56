/** Building elements. Text becomes text nodes only, so nothing that a server sends is ever parsed as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | null | undefined | false} Single */
/** @typedef {Single | (Single | (Single | Single[])[])[]} Child */

/**
 * Create an element. A function under a key such as `onclick` becomes a listener; `null`, `undefined` and
 * `false` leave an attribute out, and `true` sets it without a value.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  return /** @type {HTMLElement} */ (build(document.createElement(tag), attributes, children));
}

/**
 * Create an SVG element, see `element`.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  return /** @type {SVGElement} */ (build(document.createElementNS(SVG, tag), attributes, children));
}

/**
 * @param {Element} node
 * @param {Record<string, any>} attributes
 * @param {Child[]} children
 */
function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...nodesOf(children));
  return node;
}

/**
 * Replace everything in a parent.
 * @param {Element} parent
 * @param {...Child} children
 */
export function replace(parent, ...children) {
  parent.replaceChildren(...nodesOf(children));
}

/**
 * Set the text of an element, and write to the document only if it differs.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Set or (with `null`) remove an attribute, and write to the document only if it differs.
 * @param {Element} node
 * @param {string} name
 * @param {string | null} value
 */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) === value) return;
  if (value === null) node.removeAttribute(name);
  else node.setAttribute(name, value);
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function nodesOf(children) {
  /** @type {any[]} */
  const flat = children.flat(Infinity);
  return flat
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/** Outlines on a grid of 16. */
const ICONS = {
  alert: "M8 2 1.8 13h12.4zM8 6.2v3.3M8 11.4v.1",
  back: "M9.5 3.5 5 8l4.5 4.5",
  batches: "M2.5 4h11M2.5 8h11M2.5 12h6",
  cancel: "m4 4 8 8m0-8-8 8",
  check: "m3 8.5 3.2 3.2L13 5",
  clock: "M8 1.8a6.2 6.2 0 1 0 .01 0zM8 4.6V8l2.3 1.6",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  download: "M8 2v8m-3.2-3L8 10.2 11.2 7M2.5 13.5h11",
  endpoints: "M2.5 2.5h11v4.5h-11zM2.5 9h11v4.5h-11zM5 4.8v.1M5 11.3v.1",
  files: "M3.5 1.8h5.6l3.4 3.4v9h-9zM9 2v3.4h3.4",
  key: "M5.2 7.2a3 3 0 1 0 .01 0zM7.4 8.2l5.8-5.8m-2.4 2.4 2 2",
  new: "M8 3v10M3 8h10",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13.2 1.8v3.4H9.8",
  search: "M7 2.2a4.8 4.8 0 1 0 .01 0zM10.5 10.5l3.4 3.4",
  trash: "M2.8 4.5h10.4M6.3 4.2V2.5h3.4v1.7M4.2 4.8l.6 8.7h6.4l.6-8.7",
  upload: "M8 10.5V2.4M4.8 5.4 8 2.2l3.2 3.2M2.5 13.5h11",
};

/**
 * Create a decorative icon, hidden from screen readers.
 * @param {keyof typeof ICONS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const path = svg("path", { d: ICONS[name] });
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, path);
}
