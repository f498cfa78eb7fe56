/** Requests of an input, as people read them. */

const MAX_TEXT = 240;

/**
 * The beginning of what a request asks: its last message, its input or its prompt.
 * @param {any} body
 * @returns {string}
 */
export function promptOf(body) {
  const text = textOf(body.messages) ?? textOf(body.input) ?? textOf(body.prompt) ?? JSON.stringify(body);
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** @param {any} value a text, a message, or an array of either @returns {string | null} */
function textOf(value) {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return textOf(value.findLast((each) => textOf(each) !== null));
  if (typeof value === "object" && value !== null) return textOf(value.content) ?? textOf(value.text);
  return null;
}
