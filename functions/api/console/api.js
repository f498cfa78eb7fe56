/** The public API. Nothing else is asked of the server. */

import { sleep } from "./poll.js";

const BUSY = new Set([429, 502, 503, 504]);
const MAX_ATTEMPTS = 4;
const MAX_PAUSE_SECONDS = 60;

/** @typedef {{ signal?: AbortSignal }} Options */

/** An error response in OpenAI's envelope. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{ message?: string, code?: string | null, param?: string | null }} [error]
   */
  constructor(status, error = {}) {
    super(error.message || `The server responded with status ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.code = error.code ?? null;
    this.param = error.param ?? null;
  }
}

/** The API as the owner of a key sees it. */
export class Api {
  /**
   * @param {URL} base ends with a slash
   * @param {string} key
   * @param {(error: ApiError) => void} [onRejected] called when the server does not accept the key
   */
  constructor(base, key, onRejected = () => {}) {
    this.base = base;
    this.key = key;
    this.onRejected = onRejected;
  }

  /**
   * @param {string} path without a leading slash, such as `batches`
   * @param {Record<string, string | number | null | undefined>} [query]
   * @param {Options} [options]
   */
  async get(path, query, options) {
    return (await this.fetch(withQuery(path, query), { ...options })).json();
  }

  /**
   * @param {string} path
   * @param {unknown} [json]
   * @param {Options & { headers?: Record<string, string> }} [options]
   */
  async post(path, json, options) {
    const headers = { "Content-Type": "application/json", ...options?.headers };
    const body = json === undefined ? undefined : JSON.stringify(json);
    return (await this.fetch(path, { ...options, method: "POST", headers: body ? headers : options?.headers, body })).json();
  }

  /**
   * @param {string} path
   * @param {Options} [options]
   */
  async delete(path, options) {
    return (await this.fetch(path, { ...options, method: "DELETE" })).json();
  }

  /**
   * @param {string} path
   * @param {Record<string, string | number | null | undefined>} [query]
   * @param {Options} [options]
   * @returns {Promise<{ text: string, headers: Headers }>}
   */
  async getText(path, query, options) {
    const response = await this.fetch(withQuery(path, query), { ...options });
    return { text: await response.text(), headers: response.headers };
  }

  /**
   * Send a request with the key. Reads are repeated when the server is busy, after its Retry-After.
   * @param {string} path
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} a successful response
   * @throws {ApiError}
   */
  async fetch(path, init = {}) {
    const headers = { ...init.headers, Authorization: `Bearer ${this.key}` };
    const repeats = (init.method ?? "GET") === "GET";
    for (let attempt = 1; ; attempt += 1) {
      const response = await fetch(new URL(path, this.base), { ...init, headers });
      if (response.ok) return response;
      if (repeats && BUSY.has(response.status) && attempt < MAX_ATTEMPTS) {
        await sleep(pauseOf(response, attempt), init.signal ?? undefined);
        init.signal?.throwIfAborted();
        continue;
      }
      const error = new ApiError(response.status, await errorOf(response));
      if (error.status === 401) this.onRejected(error);
      throw error;
    }
  }
}

/**
 * @param {string} path
 * @param {Record<string, string | number | null | undefined>} [query]
 */
function withQuery(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/** @param {Response} response @param {number} attempt */
function pauseOf(response, attempt) {
  const after = Number(response.headers.get("Retry-After"));
  return Math.min(MAX_PAUSE_SECONDS, after > 0 ? after : 2 ** (attempt - 1));
}

/** @param {Response} response */
async function errorOf(response) {
  try {
    return (await response.json()).error ?? {};
  } catch {
    return {};
  }
}
