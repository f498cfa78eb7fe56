/**
 * Uploads a batch's input: a small file as one form, a large one in parts (https://platform.openai.com/docs/api-reference/uploads).
 * Parts are sent again one by one when they fail, and an upload that has stopped goes on with those that are missing.
 */

import { ApiError } from "./api.js";
import { sleep } from "./poll.js";

/** Every server takes so much in one request: Nightlane on AWS takes 4.6 MB. */
export const PART_BYTES = 4 * 1024 * 1024;
const PARALLEL_PARTS = 3;
const ATTEMPTS = 5;
const MAX_PAUSE_SECONDS = 30;
/** What a later attempt may change; 0 is no response. */
const PASSING = new Set([0, 408, 429, 500, 502, 503, 504]);

/** @typedef {{ id: string, bytes: number, filename: string }} StoredFile */

/** The upload of one file. `run` may be called again after it has failed. */
export class Upload {
  /** @param {import("./api.js").Api} api @param {File} file @param {(sent: number) => void} [onProgress] in bytes */
  constructor(api, file, onProgress = () => {}) {
    this.api = api;
    this.file = file;
    this.onProgress = onProgress;
    /** The upload in parts, once it has begun. @type {string | null} */
    this.id = null;
    /** The ids of the parts that have arrived. @type {string[]} */
    this.parts = [];
    /** Bytes of each part, or of the form, that are on their way or have arrived. @type {number[]} */
    this.sent = [];
  }

  /** @returns {number} bytes that have been sent */
  get bytesSent() {
    return Math.min(this.file.size, this.sent.reduce((total, each) => total + each, 0));
  }

  /**
   * @param {AbortSignal} signal aborted to stop
   * @returns {Promise<StoredFile>}
   * @throws {ApiError} also without a response, with status 0
   */
  run(signal) {
    return this.file.size <= PART_BYTES ? this.#sendForm(signal) : this.#sendParts(signal);
  }

  /** Give up what has been uploaded. */
  async discard() {
    const { id } = this;
    // At once, because the next upload may begin before the server has cancelled this one.
    [this.id, this.parts, this.sent] = [null, [], []];
    if (id) await this.api.post(`uploads/${id}/cancel`).catch(() => {});
  }

  /** @param {AbortSignal} signal @returns {Promise<StoredFile>} */
  #sendForm(signal) {
    return this.#send("files", 0, () => formOf({ purpose: "batch", file: this.file }), signal);
  }

  /** @param {AbortSignal} signal @returns {Promise<StoredFile>} */
  async #sendParts(signal) {
    const { name, size } = this.file;
    const announced = { filename: name, purpose: "batch", bytes: size, mime_type: "application/jsonl" };
    this.id ??= (await repeated(() => this.api.post("uploads", announced, { signal }), signal)).id;
    const missing = [...Array(Math.ceil(size / PART_BYTES)).keys()].filter((number) => !this.parts[number]);
    const sendOneByOne = async () => {
      for (let number = missing.shift(); number !== undefined; number = missing.shift()) await this.#sendPart(number, stop.signal);
    };
    // If one part fails for good, the others need not be sent.
    const stop = new AbortController();
    const forward = () => stop.abort(signal.reason);
    signal.addEventListener("abort", forward);
    try {
      await Promise.all(Array.from({ length: PARALLEL_PARTS }, sendOneByOne));
    } catch (error) {
      stop.abort(error);
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", forward);
    }
    const complete = () => this.api.post(`uploads/${this.id}/complete`, { part_ids: this.parts }, { signal });
    return (await repeated(complete, signal)).file;
  }

  /** @param {number} number @param {AbortSignal} signal */
  async #sendPart(number, signal) {
    const data = this.file.slice(number * PART_BYTES, (number + 1) * PART_BYTES);
    this.parts[number] = (await this.#send(`uploads/${this.id}/parts`, number, () => formOf({ data }), signal)).id;
    this.#note(number, data.size);
  }

  /** @param {string} path @param {number} number @param {() => FormData} form @param {AbortSignal} signal */
  #send(path, number, form, signal) {
    const onProgress = (/** @type {number} */ sent) => this.#note(number, sent);
    return repeated(() => post(this.api, path, form(), onProgress, signal), signal);
  }

  /** @param {number} number @param {number} bytes */
  #note(number, bytes) {
    this.sent[number] = Math.min(bytes, PART_BYTES);
    this.onProgress(this.bytesSent);
  }
}

/** @param {Record<string, string | Blob>} fields */
function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}

/**
 * Repeat what has failed for a reason that passes. What is repeated stores the same bytes again, at worst twice.
 * @template Value
 * @param {() => Promise<Value>} send
 * @param {AbortSignal} signal
 * @returns {Promise<Value>}
 */
async function repeated(send, signal) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      signal.throwIfAborted();
      const found = error instanceof ApiError ? error : new ApiError(0, { message: "The server cannot be reached." });
      if (!PASSING.has(found.status) || attempt === ATTEMPTS) throw found;
      await sleep(Math.min(MAX_PAUSE_SECONDS, 2 ** (attempt - 2)), signal);
      signal.throwIfAborted();
    }
  }
}

/**
 * Send a form. `fetch` does not say how much of a body has been sent, so this uses its predecessor.
 * @param {import("./api.js").Api} api
 * @param {string} path
 * @param {FormData} form
 * @param {(sent: number) => void} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<any>}
 * @throws {ApiError}
 */
function post(api, path, form, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open("POST", new URL(path, api.base));
    request.setRequestHeader("Authorization", `Bearer ${api.key}`);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded }) => onProgress(loaded);
    request.onloadend = () => {
      signal.removeEventListener("abort", abort);
      if (request.status >= 200 && request.status < 300) return resolve(request.response);
      onProgress(0);
      const error = new ApiError(request.status, request.response?.error ?? { message: request.status ? undefined : "The server cannot be reached." });
      if (error.status === 401) api.onRejected(error);
      return reject(error);
    };
    signal.addEventListener("abort", abort);
    if (signal.aborted) return reject(signal.reason);
    return request.send(form);
  });
}
