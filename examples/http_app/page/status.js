// What happens to a project, as it happens: a socket, and polling while there is none.

import { getStatus, renewKey, withKey } from "./api.js";

const POLL_MS = 1500;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15000;
const FINAL = ["ready", "failed", "cancelled"];
const CLOSED = { unknown: 4404, key: 4401 };

/** Whether nothing more will happen by itself. */
export const isFinal = (status) => FINAL.includes(status.status);

/**
 * Follows one project until it is final or `stop` is called.
 *
 * `onStatus(status)` gets every change, `onLink("live" | "polling" | "done")` how the page hears of them, and
 * `onError(problem)` what ends the watching early. A socket that drops is replaced by polling at once, and opened again
 * after ever longer waits.
 */
export class Watcher {
  #socket = null;
  #openTimer = null;
  #wait = FIRST_WAIT_MS;
  #live = false;
  #polls = false;
  #stopped = false;

  constructor(id, { onStatus, onLink, onError }) {
    this.id = id;
    this.onStatus = onStatus;
    this.onLink = onLink;
    this.onError = onError;
    this.#open();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#openTimer);
    this.#socket?.close();
  }

  #open() {
    const address = new URL(withKey(`ws/${this.id}`), document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    this.#socket = new WebSocket(address);
    this.#socket.onmessage = (event) => this.#heard(JSON.parse(event.data));
    this.#socket.onclose = (event) => this.#closed(event.code);
  }

  #heard(status) {
    if (this.#stopped) return;
    this.#live = true;
    this.#wait = FIRST_WAIT_MS;
    this.onLink("live");
    this.#tell(status);
  }

  #tell(status) {
    if (isFinal(status)) this.stop();
    this.onStatus(status);
    if (isFinal(status)) this.onLink("done");
  }

  async #closed(code) {
    this.#live = false;
    if (this.#stopped) return;
    if (code === CLOSED.key) {
      if (await renewKey()) this.#open();
      return;
    }
    if (code !== CLOSED.unknown) this.#openTimer = setTimeout(() => this.#open(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
    this.onLink("polling");
    if (!this.#polls) await this.#poll();
  }

  async #poll() {
    this.#polls = true;
    while (!this.#stopped && !this.#live) {
      try {
        const status = await getStatus(this.id);
        if (!this.#stopped && !this.#live) this.#tell(status);
      } catch (problem) {
        if (problem.status === 404) this.#giveUp(problem); // anything else may pass: ask again
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    this.#polls = false;
  }

  #giveUp(problem) {
    this.stop();
    this.onError(problem);
  }
}
