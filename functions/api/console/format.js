/** Numbers and times as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit", second: "2-digit" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
export const NONE = "–";

/** The time now, in seconds since 1970. */
export const now = () => Date.now() / 1000;

/** @param {number} n `12,345` */
export const count = (n) => whole.format(n);

/** @param {number} n `12.3K` */
export const compact = (n) => short.format(n);

/** @param {number} share from 0 to 1; shows 100 % only when everything is done */
export function percent(share) {
  const rounded = share >= 1 ? 100 : Math.min(99.9, share * 100);
  return `${rounded < 10 && rounded > 0 ? rounded.toFixed(1) : Math.floor(rounded)} %`;
}

/** @param {number} n bytes */
export function bytes(n) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  for (; n >= 1000 && unit < units.length - 1; unit += 1) n /= 1024;
  return `${n.toFixed(unit && n < 99.95 ? 1 : 0)} ${units[unit]}`;
}

/** @param {number} n US dollars; with enough digits for fractions of a cent */
export function dollars(n) {
  if (n === 0) return "$0";
  if (n < 0.000001) return "< $0.000001";
  return n < 1 ? `$${Number(n.toPrecision(2))}` : `$${n.toFixed(2)}`;
}

/** @param {number | null} n per second */
export function rate(n) {
  if (n === null || n === undefined) return NONE;
  if (n === 0) return "0/s";
  return n < 1 / MINUTE ? `${precise.format(n * HOUR)}/h` : n < 1 ? `${precise.format(n * MINUTE)}/min` : `${precise.format(n)}/s`;
}

/** @param {number} seconds `4 s`, `2 min 10 s`, `3 h 05 min`, `2 d 4 h` */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < MINUTE) return `${s} s`;
  if (s < 10 * MINUTE) return `${Math.floor(s / MINUTE)} min ${String(s % MINUTE).padStart(2, "0")} s`;
  if (s < HOUR) return `${Math.floor(s / MINUTE)} min`;
  if (s < DAY) return `${Math.floor(s / HOUR)} h ${String(Math.floor((s % HOUR) / MINUTE)).padStart(2, "0")} min`;
  return `${Math.floor(s / DAY)} d ${Math.floor((s % DAY) / HOUR)} h`;
}

/** @param {number} seconds one unit only: `4 s`, `12 min`, `3 h`, `2 d` */
export function roughly(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < MINUTE) return `${s} s`;
  const [minutes, hours] = [Math.round(s / MINUTE), Math.round(s / HOUR)];
  if (minutes < 60) return `${minutes} min`;
  return hours < 48 ? `${hours} h` : `${Math.round(s / DAY)} d`;
}

/** @param {number} unix @param {number} [at] `just now`, `12 min ago`, `Sep 3` */
export function ago(unix, at = now()) {
  const seconds = at - unix;
  if (seconds < MINUTE) return "just now";
  return seconds < 14 * DAY ? `${roughly(seconds)} ago` : day.format(unix * 1000);
}

/** @param {number} ms `340 ms`, `2.31 s` */
export const latency = (ms) => (ms < 1000 ? `${whole.format(ms)} ms` : `${precise.format(ms / 1000)} s`);

/** @param {number} unix time of day */
export const time = (unix) => clock.format(unix * 1000);

/** @param {number} unix date and time */
export const dateTime = (unix) => moment.format(unix * 1000);

/** @param {number} n @param {string} one @param {string} [many] `1 file`, `2 files` */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
