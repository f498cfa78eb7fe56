/** Result lines of a batch, as people read them. */

/**
 * A line of an output or error file.
 * @typedef {{ id: string, custom_id: string,
 *   response: { status_code: number, request_id: string, body: any } | null,
 *   error: { code: string, message: string } | null }} ResultLine
 */

const MAX_TEXT = 400;

/** @param {string} text @returns {ResultLine[]} */
export function readLines(text) {
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** @param {ResultLine} line */
export function isFailure(line) {
  return line.error !== null || !line.response || line.response.status_code >= 300;
}

/** Why a line failed: a code to group by, and the message. @param {ResultLine} line */
export function problemOf({ error, response }) {
  if (error) return { code: error.code, message: error.message };
  const inner = response?.body?.error;
  const status = response?.status_code ?? 0;
  return {
    code: [status, inner?.code ?? inner?.type].filter(Boolean).join(" "),
    message: String(inner?.message ?? (typeof inner === "string" ? inner : JSON.stringify(response?.body ?? null))).slice(0, MAX_TEXT),
  };
}

/** The beginning of what the model answered. @param {ResultLine} line */
export function answerOf(line) {
  if (isFailure(line)) return problemOf(line).message;
  const body = line.response?.body ?? {};
  const text =
    textOf(body.choices?.[0]?.message?.content) ??
    body.choices?.[0]?.text ??
    body.output?.map((/** @type {any} */ item) => textOf(item.content)).find(Boolean) ??
    vectorOf(body.data?.[0]) ??
    JSON.stringify(body);
  return String(text).slice(0, MAX_TEXT);
}

/** @param {any} content a text, or parts of it */
function textOf(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return null;
  return content.map((part) => part.text ?? "").join("") || null;
}

/** @param {any} item */
function vectorOf(item) {
  if (!Array.isArray(item?.embedding)) return null;
  const [first, second, third] = item.embedding;
  return `${item.embedding.length} dimensions: ${[first, second, third].map((n) => Number(n).toFixed(4)).join(", ")}, …`;
}
