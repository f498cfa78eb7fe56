/** Work that is repeated while a page is shown. */

const MAX_PAUSE_SECONDS = 60;

/**
 * Run something now, and again `seconds` after each time it is done, until the signal is aborted. It rests while
 * the tab is hidden, and waits longer after each error. Every run is reported by a `connection` event of `window`,
 * whose `detail` is null or the error.
 * @param {number | (() => number)} seconds
 * @param {() => Promise<void>} run
 * @param {AbortSignal} signal
 * @returns {Promise<void>} done when the signal is aborted
 */
export async function every(seconds, run, signal) {
  const usual = typeof seconds === "number" ? () => seconds : seconds;
  let pause = 0;
  while (!signal.aborted) {
    await visible(signal);
    if (signal.aborted) return;
    try {
      await run();
      pause = usual();
      report(null);
    } catch (error) {
      if (signal.aborted) return;
      pause = Math.min(MAX_PAUSE_SECONDS, Math.max(usual(), pause) * 2);
      report(error);
    }
    await sleep(pause, signal);
  }
}

/**
 * Wait for some seconds, or until the signal is aborted.
 * @param {number} seconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function sleep(seconds, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    signal?.addEventListener("abort", done);
  });
}

/** @param {AbortSignal} signal */
function visible(signal) {
  return /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      if (!document.hidden || signal.aborted) return resolve();
      const check = () => {
        if (document.hidden && !signal.aborted) return;
        document.removeEventListener("visibilitychange", check);
        signal.removeEventListener("abort", check);
        resolve();
      };
      document.addEventListener("visibilitychange", check);
      signal.addEventListener("abort", check);
    })
  );
}

/** @param {unknown} error */
function report(error) {
  window.dispatchEvent(new CustomEvent("connection", { detail: error }));
}
