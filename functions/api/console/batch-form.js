/** What the user chooses for a new batch: endpoint, completion window, metadata; and what the estimate assumes. */

import { element, icon } from "./dom.js";

const WINDOWS = [
  ["1h", "1 hour"],
  ["2h", "2 hours"],
  ["6h", "6 hours"],
  ["12h", "12 hours"],
  ["24h", "24 hours"],
  ["2d", "2 days"],
  ["3d", "3 days"],
  ["7d", "7 days"],
];
const MAX_PAIRS = 16;
const MAX_VALUE = 512;

export class BatchForm {
  /**
   * @param {string[]} endpoints
   * @param {string} endpoint
   * @param {string} name of the batch, in its metadata
   * @param {{ onEndpoint: (endpoint: string) => void, onAssumed: () => void }} listeners
   */
  constructor(endpoints, endpoint, name, { onEndpoint, onAssumed }) {
    this.endpoint = select("endpoint", endpoints.map((path) => [path, path]), endpoint);
    this.endpoint.addEventListener("change", () => onEndpoint(this.endpoint.value));
    this.window = select("window", WINDOWS, "24h");
    this.pairs = element("ul", { class: "pairs", "aria-label": "Metadata" });
    this.add = element("button", { class: "button small", type: "button", onclick: () => this.#addPair("", "").focus() }, icon("new"), "Add a pair");
    this.seconds = number("seconds", 5, 0.01, 86_400, onAssumed);
    this.answerBytes = number("answer-bytes", 4_000, 1, 100_000_000, onAssumed);
    this.assumptions = element(
      "details",
      {},
      element("summary", {}, "Assumptions"),
      element(
        "div",
        { class: "stack tight" },
        field("Seconds of a request", this.seconds),
        field("Bytes of an answer", this.answerBytes),
      ),
    );
    this.node = element(
      "section",
      { class: "card stack tight", "aria-labelledby": "batch-title" },
      element("h2", { id: "batch-title" }, "Batch"),
      field("Endpoint", this.endpoint),
      field("Completion window", this.window),
      element("div", {}, element("h3", {}, "Metadata"), this.pairs, this.add),
    );
    this.#addPair("name", name.slice(0, MAX_VALUE));
  }

  /** The average request, as the estimate takes it; null if a number is invalid. */
  get assumed() {
    if (![this.seconds, this.answerBytes].every((input) => input.checkValidity())) return null;
    return { seconds: Number(this.seconds.value), answerBytes: Math.round(Number(this.answerBytes.value)) };
  }

  /** The parameters of the batch, without its input file. */
  get parameters() {
    return { endpoint: this.endpoint.value, completion_window: this.window.value, metadata: this.#metadata() };
  }

  /** @param {boolean} isDisabled */
  disable(isDisabled) {
    for (const each of this.node.querySelectorAll("input, select, button")) /** @type {any} */ (each).disabled = isDisabled;
  }

  #metadata() {
    const pairs = [...this.pairs.children].map((row) => [...row.querySelectorAll("input")].map(({ value }) => value.trim()));
    const filled = pairs.filter(([key, value]) => key && value);
    return filled.length ? Object.fromEntries(filled) : null;
  }

  /** @param {string} key @param {string} value @returns {HTMLInputElement} the field of the key */
  #addPair(key, value) {
    const place = this.pairs.children.length + 1;
    const keyInput = text(`Key ${place}`, key, 64, "Key");
    const remove = () => {
      row.remove();
      this.add.hidden = false;
      this.add.focus();
    };
    const row = element(
      "li",
      { class: "pair" },
      keyInput,
      text(`Value ${place}`, value, MAX_VALUE, key === "name" ? "Shown in the list" : "Value"),
      element("button", { class: "button quiet", type: "button", "aria-label": `Remove pair ${place}`, onclick: remove }, icon("cancel")),
    );
    this.pairs.append(row);
    this.add.hidden = this.pairs.children.length >= MAX_PAIRS;
    return keyInput;
  }
}

/** @param {string} label @param {HTMLElement} input */
function field(label, input) {
  return element("div", { class: "field" }, element("label", { for: input.id }, label), input);
}

/** @param {string} id @param {string[][]} options @param {string} chosen */
function select(id, options, chosen) {
  const made = element("select", { id }, options.map(([value, label]) => element("option", { value, selected: value === chosen }, label)));
  return /** @type {HTMLSelectElement} */ (made);
}

/** @param {string} id @param {number} value @param {number} min @param {number} max @param {() => void} onInput */
function number(id, value, min, max, onInput) {
  const made = element("input", { id, type: "number", inputmode: "decimal", value, min, max, step: "any", required: true, oninput: onInput });
  return /** @type {HTMLInputElement} */ (made);
}

/** @param {string} label @param {string} value @param {number} maxlength @param {string} placeholder */
function text(label, value, maxlength, placeholder) {
  const made = element("input", { "aria-label": label, value, maxlength, placeholder, spellcheck: "false" });
  return /** @type {HTMLInputElement} */ (made);
}
