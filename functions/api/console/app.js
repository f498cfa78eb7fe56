/** The console: asks for the key, and shows the page that the address names. */

import { Api, ApiError } from "./api.js";
import { element, icon, replace, setText } from "./dom.js";

/**
 * What a page works with.
 * @typedef {object} Context
 * @property {Api} api
 * @property {string[]} parameters the rest of the address, such as the id of a batch
 * @property {AbortSignal} signal aborted when the page is left
 * @property {(text: string) => void} announce read out by screen readers
 * @property {(hash: string) => void} go leave for another page, such as `#/batches`
 */

/**
 * @typedef {object} Page
 * @property {string} title
 * @property {(main: HTMLElement, context: Context) => Promise<void>} show fills the empty `main`
 */

const KEY = "nightlane-key";
const BASE = new URL(".", location.href);
/** @type {{ name: string, label: string, icon: any, load: () => Promise<Page> }[]} */
const TABS = [
  { name: "batches", label: "Batches", icon: "batches", load: () => import("./batches.js") },
  { name: "new", label: "New batch", icon: "new", load: () => import("./new.js") },
  { name: "files", label: "Files", icon: "files", load: () => import("./files.js") },
  { name: "endpoints", label: "Endpoints", icon: "endpoints", load: () => import("./endpoints.js") },
];
const ONE_BATCH = () => import("./batch.js");

const main = find("main");
const tabs = find("tabs");
const connection = find("connection");
const leave = find("leave");
let left = new AbortController();

/** @param {string} id */
function find(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** Show the page of the address. */
async function showPage() {
  const key = sessionStorage.getItem(KEY);
  left.abort();
  left = new AbortController();
  const { signal } = left;
  if (!key) return askForKey();
  const [name = "batches", ...parameters] = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  const tab = TABS.find((each) => each.name === name) ?? TABS[0];
  showFrame(tab.name);
  const api = new Api(BASE, key, reject);
  try {
    const page = await (name === "batches" && parameters.length ? ONE_BATCH() : tab.load());
    if (signal.aborted) return;
    document.title = `${page.title} · Nightlane`;
    replace(main);
    await page.show(main, { api, parameters: parameters.map(decodeURIComponent), signal, announce, go });
  } catch (error) {
    if (!signal.aborted) showError(error);
  }
}

/** @param {string} hash */
function go(hash) {
  location.hash = hash;
}

/** @param {string} text */
function announce(text) {
  setText(find("announcer"), text);
}

/** @param {string} current */
function showFrame(current) {
  const links = TABS.map(({ name, label, icon: iconName }) =>
    element("a", { href: `#/${name}`, "aria-current": name === current && "page" }, icon(iconName), element("span", {}, label)),
  );
  replace(tabs, links);
  tabs.hidden = false;
  leave.hidden = false;
}

/** @param {unknown} error */
function showError(error) {
  const status = error instanceof ApiError ? error.status : 0;
  const title = status === 404 ? "Not found" : status ? "The server refused" : "The server cannot be reached";
  const again = element("button", { class: "button", type: "button", onclick: showPage }, icon("retry"), "Try again");
  const message = element("p", { class: "muted" }, error instanceof Error ? error.message : String(error));
  replace(main, element("section", { class: "card notice", role: "alert" }, element("h1", {}, title), message, again));
}

/** @param {ApiError} error */
function reject(error) {
  sessionStorage.removeItem(KEY);
  left.abort();
  askForKey(error.message);
}

/** @param {string} [problem] why the last key was not accepted */
function askForKey(problem) {
  for (const each of [tabs, connection, leave]) each.hidden = true;
  document.title = "Nightlane";
  const input = /** @type {HTMLInputElement} */ (
    element("input", {
      id: "key",
      type: "password",
      autocomplete: "current-password",
      spellcheck: "false",
      required: true,
      "aria-describedby": problem ? "key-problem key-note" : "key-note",
      "aria-invalid": problem ? "true" : null,
    })
  );
  const form = element(
    "form",
    { class: "card key-form", onsubmit: (/** @type {Event} */ event) => useKey(event, input.value.trim()) },
    element("h1", {}, "Your API key"),
    // For password managers.
    element("input", { type: "text", autocomplete: "username", value: "Nightlane", hidden: true }),
    element("label", { for: "key" }, "Key"),
    input,
    problem && element("p", { class: "problem", id: "key-problem", role: "alert" }, icon("alert"), problem),
    element("button", { class: "button primary", type: "submit" }, "Open the console"),
    element("p", { class: "muted small", id: "key-note" }, "It stays in this tab and is sent to this server only. ", element("code", {}, "nightlane keys create"), " makes one."),
  );
  replace(main, form);
  input.focus();
}

/** @param {Event} event @param {string} key */
function useKey(event, key) {
  event.preventDefault();
  if (!key) return;
  sessionStorage.setItem(KEY, key);
  void showPage();
  main.focus();
}

/** @param {unknown} problem */
function showConnection(problem) {
  if (!sessionStorage.getItem(KEY)) return;
  connection.hidden = false;
  connection.classList.toggle("lost", Boolean(problem));
  setText(connection, problem ? "Reconnecting" : "Live");
  connection.title = problem instanceof Error ? problem.message : "Updated every few seconds";
}

find("skip").addEventListener("click", (event) => {
  // The part after # is the address of a page.
  event.preventDefault();
  main.focus();
});
leave.addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  void showPage();
});
window.addEventListener("connection", (event) => showConnection(/** @type {CustomEvent} */ (event).detail));
window.addEventListener("hashchange", () => {
  void showPage();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
void showPage();
