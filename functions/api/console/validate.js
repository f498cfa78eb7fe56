/** Reads and validates a batch's input in the browser, line by line, as the server does (nightlane/domain/reading.py). */

import { Invalid, LineChecker, parseLine } from "./line-checks.js";

/** @typedef {import("./line-checks.js").Limits} Limits */
/** @typedef {{ line: number | null, code: string, message: string, param: string | null }} LineError */
/** @typedef {{ model: string | null, requests: number, bytes: number }} ModelCount */

/** So many errors are kept, and the others are counted. */
export const MAX_ERRORS = 100;
/** So many of the first valid requests are kept, to be shown. */
const MAX_SAMPLES = 5;
const LINE_FEED = 10;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
/** The page stays responsive if it may draw after so long. */
const SLICE_MS = 12;
/** What is read to find out the endpoint. */
const BEGINNING_BYTES = 256 * 1024;

/** What is known about an input. */
export class Report {
  /** @param {string} endpoint */
  constructor(endpoint) {
    this.endpoint = endpoint;
    this.lines = 0;
    /** Of the valid lines, without line feeds. */
    this.bytes = 0;
    /** An estimate. */
    this.tokens = 0;
    /** @type {Map<string | null, ModelCount>} */
    this.models = new Map();
    /** @type {LineError[]} The first ones; one without a line is about the whole file. */
    this.errors = [];
    /** @type {Map<string, number>} Code → number of errors. */
    this.counts = new Map();
    /** @type {{ line: number, request: { custom_id: string, body: any } }[]} The first valid ones. */
    this.samples = [];
    this.isComplete = false;
  }

  /** The number of errors. */
  get invalid() {
    return [...this.counts.values()].reduce((total, each) => total + each, 0);
  }

  get isValid() {
    return this.isComplete && this.counts.size === 0;
  }

  /** @param {Invalid} error @param {number | null} line */
  add({ code, message, param }, line) {
    this.counts.set(code, (this.counts.get(code) ?? 0) + 1);
    if (this.errors.length < MAX_ERRORS) this.errors.push({ line, code, message, param });
  }

  /** @param {Invalid} error about the whole file, beside which those of its lines do not matter */
  fail(error) {
    this.errors = [];
    this.counts.clear();
    this.add(error, null);
  }

  /** @param {import("./line-checks.js").CheckedLine} checked @param {number} line its number @param {number} size */
  count({ request, model, tokens }, line, size) {
    if (this.samples.length < MAX_SAMPLES) this.samples.push({ line, request });
    this.bytes += size;
    this.tokens += tokens;
    const found = this.models.get(model) ?? { model, requests: 0, bytes: 0 };
    found.requests += 1;
    found.bytes += size;
    this.models.set(model, found);
  }
}

/**
 * Validate a file. Holds at most one chunk and one line.
 * @param {Blob} file
 * @param {string} endpoint
 * @param {Limits} limits
 * @param {{ signal?: AbortSignal, onProgress?: (report: Report, share: number) => void }} [options] `onProgress` is
 *   called between slices of work
 * @returns {Promise<Report>}
 */
export async function validateFile(file, endpoint, limits, { signal, onProgress = () => {} } = {}) {
  const report = new Report(endpoint);
  const checker = new LineChecker(endpoint, limits);
  try {
    checkSize(file.size, limits);
    let number = 0;
    let until = performance.now() + SLICE_MS;
    for await (const { line, end } of splitLines(chunksOf(file, signal), limits.max_line_bytes)) {
      number += 1;
      readLine(number, line, checker, report);
      if (performance.now() > until) {
        onProgress(report, end / file.size);
        await pause();
        signal?.throwIfAborted();
        until = performance.now() + SLICE_MS;
      }
    }
    if (!report.lines) {
      throw new Invalid("empty_file", "The input file is empty. Please ensure that the batch contains at least one request.");
    }
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    report.fail(error);
  }
  report.isComplete = true;
  return report;
}

/**
 * Return the endpoint that the first readable line is for; null if none of the first lines says so.
 * @param {Blob} file
 * @param {Limits} limits
 * @returns {Promise<string | null>}
 */
export async function findEndpoint(file, limits) {
  const beginning = file.slice(0, BEGINNING_BYTES);
  for await (const { line } of splitLines(chunksOf(beginning), limits.max_line_bytes)) {
    const found = line && urlOf(withoutMark(line), limits);
    if (found) return found;
  }
  return null;
}

/** @param {Uint8Array} line @param {Limits} limits */
function urlOf(line, limits) {
  try {
    const { url } = parseLine(line, limits.max_levels);
    return limits.endpoints.some(({ path }) => path === url) ? url : null;
  } catch {
    return null;
  }
}

/** @param {number} size @param {Limits} limits */
function checkSize(size, limits) {
  if (size > limits.max_bytes) {
    const message = `The batch input file is larger than the ${limits.max_bytes} maximum. Please try again with a smaller batch.`;
    throw new Invalid("invalid_request", message, "file_id");
  }
}

/**
 * @param {number} number
 * @param {Uint8Array | null} line
 * @param {LineChecker} checker
 * @param {Report} report
 */
function readLine(number, line, checker, report) {
  const { limits } = checker;
  const text = line && number === 1 ? withoutMark(line) : line;
  if (text && text.every(isSpace)) return;
  if (report.lines === limits.max_lines) {
    throw new Invalid("too_many_tasks", `The batch input file has more than the ${limits.max_lines} requests allowed.`);
  }
  report.lines += 1;
  try {
    if (!text) {
      throw new Invalid("invalid_request", `This line is longer than the maximum of ${limits.max_line_bytes} bytes.`);
    }
    report.count(checker.check(text), number, text.length);
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    report.add(error, number);
  }
}

/** @param {Uint8Array} line */
const withoutMark = (line) => (BYTE_ORDER_MARK.every((byte, at) => line[at] === byte) ? line.subarray(3) : line);

/** What Python's `bytes.strip` removes. @param {number} byte */
const isSpace = (byte) => byte === 32 || (byte >= 9 && byte <= 13);

/**
 * Yield each line without its line feed, or null for one above `limit` bytes, and where it ends in the data.
 * @param {AsyncIterable<Uint8Array>} chunks
 * @param {number} limit
 * @returns {AsyncGenerator<{ line: Uint8Array | null, end: number }>}
 */
export async function* splitLines(chunks, limit) {
  /** @type {Uint8Array[]} */
  let held = [];
  let length = 0;
  let offset = 0;
  const take = (/** @type {Uint8Array} */ last) => {
    const line = length + last.length > limit ? null : held.length ? joined([...held, last], length + last.length) : last;
    [held, length] = [[], 0];
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, start)) {
      yield { line: take(chunk.subarray(start, at)), end: offset + at };
      start = at + 1;
    }
    const rest = chunk.subarray(start);
    if (length + rest.length > limit) held = [];
    else if (rest.length) held.push(rest);
    length += rest.length;
    offset += chunk.length;
  }
  if (length) yield { line: take(new Uint8Array()), end: offset };
}

/** @param {Uint8Array[]} parts @param {number} length */
function joined(parts, length) {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {Blob} file @param {AbortSignal} [signal] @returns {AsyncGenerator<Uint8Array>} */
async function* chunksOf(file, signal) {
  // Not `for await`: Safari's streams are not iterable.
  const reader = file.stream().getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Let the page draw and respond. @returns {Promise<void>} */
function pause() {
  const { scheduler } = /** @type {any} */ (globalThis);
  return scheduler?.yield ? scheduler.yield() : new Promise((resolve) => setTimeout(resolve));
}
