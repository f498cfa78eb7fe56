/**
 * Checks the lines of a batch's input as the server does when it plans the batch (nightlane/domain/line_checks.py),
 * with its codes and messages. It may accept what the server refuses, and never the other way round.
 */

const MAX_QUOTED_CHARACTERS = 200;
const BYTES_PER_TOKEN = 4;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** A pair of surrogates, half of one in the only group, or any other escape. */
const ESCAPES = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)/gs;
const SURROGATE = /\\u[dD][89a-fA-F]/;

/**
 * What `GET batches/limits` returns.
 * @typedef {object} Limits
 * @property {EndpointLimits[]} endpoints
 * @property {number} max_lines
 * @property {number} max_bytes
 * @property {number} max_line_bytes
 * @property {number} max_levels
 * @property {number} max_embedding_inputs
 * @property {number} max_upload_bytes
 * @property {boolean} one_model_per_batch
 */

/** @typedef {{ path: string, title: string | null, required: string[][], needs_model: boolean, inputs: string | null }} EndpointLimits */
/** @typedef {{ request: any, model: string | null, tokens: number }} CheckedLine `tokens` is an estimate */

/** A line or a file is invalid. */
export class Invalid extends Error {
  /** @param {string} code @param {string} message @param {string | null} [param] */
  constructor(code, message, param = null) {
    super(message);
    this.code = code;
    this.param = param;
  }
}

/** Checks the lines of one file, in order; remembers ids and the first model. */
export class LineChecker {
  /** @param {string} endpoint one of the limits' paths @param {Limits} limits */
  constructor(endpoint, limits) {
    const rules = limits.endpoints.find(({ path }) => path === endpoint);
    this.rules = rules ?? { path: endpoint, title: null, required: [], needs_model: false, inputs: null };
    this.limits = limits;
    this.seen = new Set();
    this.firstModel = /** @type {string | null} */ (null);
    this.inputs = 0;
  }

  /**
   * @param {Uint8Array} line without its line feed
   * @returns {CheckedLine}
   * @throws {Invalid}
   */
  check(line) {
    const request = parseLine(line, this.limits.max_levels);
    for (const key of ["custom_id", "method", "url", "body"]) {
      if (isNone(request[key])) throw new Invalid("missing_required_parameter", `Missing required parameter: '${key}'.`, key);
    }
    for (const key of ["custom_id", "method", "url"]) expect(request[key], "a string", key);
    expect(request.body, "an object", "body");
    this.#checkEnvelope(request);
    return { request, model: this.#checkBody(request.body), tokens: estimateTokens(request.body) };
  }

  /** @param {{ custom_id: string, method: string, url: string }} request */
  #checkEnvelope({ custom_id: id, method, url }) {
    if (method !== "POST") {
      throw new Invalid("invalid_value", `Invalid value: '${quoted(method)}'. Supported values are: 'POST'.`, "method");
    }
    if (this.seen.has(id)) {
      const message =
        `The custom_id '${quoted(id)}' for this request is a duplicate of another request. ` +
        "The custom_id parameter must be unique for each request in a batch.";
      throw new Invalid("duplicate_custom_id", message, "custom_id");
    }
    this.seen.add(id);
    if (url !== this.rules.path) {
      const message =
        "The URL provided for this request does not match the batch endpoint: " +
        `'${quoted(url)}' is not '${this.rules.path}'.`;
      throw new Invalid("invalid_url", message, "url");
    }
  }

  /** @param {Record<string, any>} body @returns {string | null} its model */
  #checkBody(body) {
    if (isTrue(body.stream)) {
      const title = this.rules.title ? `${this.rules.title}: ` : "";
      throw new Invalid("streaming_unsupported", `${title}Streaming is not supported in the Batch API.`, "body.stream");
    }
    const model = isNone(body.model) && !this.rules.needs_model ? null : this.#checkModel(body.model);
    for (const names of this.rules.required) {
      if (names.every((name) => isNone(body[name]))) {
        throw new Invalid("invalid_request", `${capitalized(names[0])} parameter is required.`, `body.${names[0]}`);
      }
    }
    if (this.rules.inputs) this.#countInputs(body[this.rules.inputs]);
    return model;
  }

  /** @param {unknown} model */
  #checkModel(model) {
    if (typeof model !== "string" || !model) {
      throw new Invalid("invalid_request", "Model parameter is required.", "body.model");
    }
    this.firstModel ??= model;
    if (this.limits.one_model_per_batch && model !== this.firstModel) {
      const message =
        `The model '${quoted(model)}' for this request does not match the rest of the batch. ` +
        "Each batch must contain requests for a single model.";
      throw new Invalid("mismatched_model", message, "body.model");
    }
    return model;
  }

  /** @param {unknown} value text, tokens, or an array of either */
  #countInputs(value) {
    const isMany = Array.isArray(value) && value.length > 0 && !isInteger(value[0]);
    this.inputs += isMany ? value.length : 1;
    if (this.inputs > this.limits.max_embedding_inputs) {
      const message = `The batch has more than ${this.limits.max_embedding_inputs} embedding inputs in total.`;
      throw new Invalid("invalid_request", message, "body.input");
    }
  }
}

/**
 * Parse a line. `JSON.parse` accepts what the server does, and halves of pairs of surrogates.
 * @param {Uint8Array} line
 * @param {number} maxLevels
 * @returns {any} an object
 * @throws {Invalid}
 */
export function parseLine(line, maxLevels) {
  let request;
  try {
    const text = decoder.decode(line);
    request = JSON.parse(text);
    if (SURROGATE.test(text) && halfSurrogate(text)) throw new SyntaxError();
  } catch {
    const reason = explainLine(line);
    throw new Invalid("invalid_json_line", `This line is not parseable as valid JSON.${reason && ` ${reason}`}`);
  }
  if (kindOf(request) !== "an object") {
    throw new Invalid("invalid_json_line", `This line is not a JSON object: it is ${kindOf(request)}.`);
  }
  if (isDeeper(request, maxLevels)) {
    throw new Invalid("invalid_json_line", `This line is nested more than ${maxLevels} levels deep.`);
  }
  return request;
}

/** @param {Uint8Array} line @returns {string} what is wrong with its text, or nothing if it is the JSON itself */
function explainLine(line) {
  const problem = problemOf(line);
  if (problem) return `Must be utf-8 encoded: ${problem}.`;
  const half = halfSurrogate(decoder.decode(line));
  return half ? `The escape \\${half} is half of a pair of surrogates, which is not a character.` : "";
}

/** @param {Uint8Array} data @returns {string | null} */
function problemOf(data) {
  if ((data[0] === 0xff && data[1] === 0xfe) || (data[0] === 0xfe && data[1] === 0xff)) {
    return "it begins with the byte order mark of UTF-16";
  }
  // A null byte is UTF-8, but never in JSON, and every other byte of ASCII letters in UTF-16.
  const zero = data.indexOf(0);
  const text = zero < 0 ? data : data.subarray(0, zero);
  const at = firstInvalidByte(text, zero >= 0);
  if (at !== null) return `the byte 0x${text[at].toString(16).toUpperCase().padStart(2, "0")} is not UTF-8`;
  return zero >= 0 ? "there is a byte 0x00, as in UTF-16" : null;
}

/**
 * Where the first sequence begins that is not UTF-8: https://encoding.spec.whatwg.org/#utf-8-decoder
 * @param {Uint8Array} data
 * @param {boolean} mayBeCut whether the last character may be incomplete
 */
function firstInvalidByte(data, mayBeCut) {
  for (let at = 0; at < data.length; ) {
    const lead = data[at];
    const more = lead < 0x80 ? 0 : lead < 0xc2 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : -1;
    if (more < 0) return at;
    let low = { 0xe0: 0xa0, 0xf0: 0x90 }[lead] ?? 0x80;
    let high = { 0xed: 0x9f, 0xf4: 0x8f }[lead] ?? 0xbf;
    for (let next = at + 1; next <= at + more; next += 1) {
      if (next === data.length) return mayBeCut ? null : at;
      if (data[next] < low || data[next] > high) return at;
      [low, high] = [0x80, 0xbf];
    }
    at += more + 1;
  }
  return null;
}

/** @param {string} text */
function halfSurrogate(text) {
  for (const match of text.matchAll(ESCAPES)) if (match[1]) return match[1];
  return null;
}

/** @param {object} container @param {number} levels @returns {boolean} whether it has a value that many levels down */
function isDeeper(container, levels) {
  const values = Array.isArray(container) ? container : Object.values(container);
  if (levels === 1) return values.length > 0;
  return values.some((value) => typeof value === "object" && value !== null && isDeeper(value, levels - 1));
}

/**
 * One token for every four bytes of its strings, and one for each token number; embedded files do not count.
 * @param {unknown} value
 */
function estimateTokens(value) {
  let size = 0;
  let numbers = 0;
  const left = [value];
  while (left.length) {
    const each = left.pop();
    if (typeof each === "string") size += each.startsWith("data:") ? 0 : utf8Length(each);
    else if (Array.isArray(each) && isInteger(each[0]) && typeof each[0] === "number") numbers += each.length;
    else if (typeof each === "object" && each !== null) for (const inner of Object.values(each)) left.push(inner);
  }
  return Math.ceil(size / BYTES_PER_TOKEN) + numbers;
}

/** @param {string} text */
function utf8Length(text) {
  let size = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    // Each half of a pair of surrogates counts two of its four bytes.
    if (unit > 0x7f) size += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return size;
}

/** Python's int, of which its bool is a kind; digits without end become Infinity. @param {unknown} value */
const isInteger = (value) => typeof value === "boolean" || (typeof value === "number" && (Number.isInteger(value) || !Number.isFinite(value)));

/** @param {unknown} value */
const isNone = (value) => value === null || value === undefined;

/** What Python takes for true. @param {any} value */
function isTrue(value) {
  if (typeof value !== "object" || value === null) return Boolean(value);
  return Object.keys(value).length > 0;
}

/** @param {unknown} value @param {string} kind @param {string} name */
function expect(value, kind, name) {
  if (kindOf(value) !== kind) {
    throw new Invalid("invalid_type", `Invalid type for '${name}': expected ${kind}, but got ${kindOf(value)} instead.`, name);
  }
}

/** @param {unknown} value */
function kindOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return Number.isInteger(value) || !Number.isFinite(value) ? "an integer" : "a number";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** @param {string} text */
function quoted(text) {
  const characters = text.length > MAX_QUOTED_CHARACTERS ? [...text] : [];
  return characters.length > MAX_QUOTED_CHARACTERS ? `${characters.slice(0, MAX_QUOTED_CHARACTERS).join("")}…` : text;
}

/** @param {string} text */
const capitalized = (text) => text[0].toUpperCase() + text.slice(1).toLowerCase();
