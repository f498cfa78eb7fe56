/** How long a batch would take and what it would cost: the server computes it, from what was counted in the file. */

import { ApiError } from "./api.js";

/** The server takes so many models; the requests of all others are added to the last one. */
const MAX_MODELS = 100;
/** Each question goes on to an inference endpoint. */
const MAX_MODELS_ASKED = 5;

/**
 * What `POST batches/estimate` returns.
 * @typedef {object} Estimate
 * @property {{ model: string | null, upstream: string | null }[]} models
 * @property {number} requests_in_flight
 * @property {number} seconds
 * @property {{ is_billed: boolean, prices: string, services: { service: string, dollars: number }[], dollars: number }} aws
 */

/** @typedef {{ seconds: number, answerBytes: number }} Assumed of a request, on average */

/**
 * @param {import("./api.js").Api} api
 * @param {import("./validate.js").Report} report of a valid file
 * @param {Assumed} assumed
 * @param {AbortSignal} signal
 * @returns {Promise<Estimate>}
 */
export function estimate(api, report, { seconds, answerBytes }, signal) {
  const body = {
    endpoint: report.endpoint,
    models: modelsOf(report),
    seconds_per_request: seconds,
    answer_bytes: answerBytes,
  };
  return api.post("batches/estimate", body, { signal });
}

/** @param {import("./validate.js").Report} report */
function modelsOf(report) {
  const models = [...report.models.values()].map((each) => ({ ...each }));
  const last = models[MAX_MODELS - 1];
  for (const { requests, bytes } of models.splice(MAX_MODELS)) {
    last.requests += requests;
    last.bytes += bytes;
  }
  return models;
}

/**
 * Return the models for which the batch would fail: no upstream takes them, or theirs says that it has no such model.
 * @param {import("./api.js").Api} api
 * @param {Estimate["models"]} models
 * @param {AbortSignal} signal
 * @returns {Promise<string[]>}
 */
export async function findMissing(api, models, signal) {
  const missing = models.filter(({ upstream }) => upstream === null);
  const asked = models.filter(({ model, upstream }) => model && upstream).slice(0, MAX_MODELS_ASKED);
  const answers = await Promise.all(asked.map(({ model }) => isMissing(api, String(model), signal)));
  return [...missing, ...asked.filter((_, at) => answers[at])].map(({ model }) => String(model));
}

/** @param {import("./api.js").Api} api @param {string} model @param {AbortSignal} signal */
async function isMissing(api, model, signal) {
  try {
    await api.get(`models/${encodeURIComponent(model)}`, {}, { signal });
  } catch (error) {
    // An endpoint that does not answer says nothing about its models.
    return error instanceof ApiError && error.code === "model_not_found";
  }
  return false;
}
