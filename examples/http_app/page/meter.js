// Level meters: peaks of what sounds, falling slowly.

import { h } from "./dom.js";
import { decibels } from "./format.js";

const LOWEST_DB = -60;
const FALL_DB_PER_SECOND = 40;
const SPOKEN_EVERY_MS = 500;

const samples = new Float32Array(1024);

function peakDb(analyser) {
  analyser.getFloatTimeDomainData(samples);
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  return peak > 0 ? 20 * Math.log10(peak) : -Infinity;
}

/** One bar; `show(analyser, seconds)` draws what an analyser hears, or silence for null. */
export class Meter {
  #bar = h("span", { class: "meter-bar" });
  #level = LOWEST_DB;
  #spoken = 0;

  constructor(label) {
    this.element = h(
      "span",
      { class: "meter", role: "meter", "aria-label": label, "aria-valuemin": LOWEST_DB, "aria-valuemax": "0" },
      this.#bar,
    );
    this.#speak();
  }

  show(analyser, seconds) {
    const fallen = this.#level - FALL_DB_PER_SECOND * seconds;
    this.#level = Math.max(LOWEST_DB, fallen, analyser ? peakDb(analyser) : -Infinity);
    this.#bar.style.setProperty("--level", 1 - Math.min(0, this.#level) / LOWEST_DB);
    this.element.classList.toggle("over", this.#level > 0);
    if (performance.now() - this.#spoken > SPOKEN_EVERY_MS) this.#speak();
  }

  #speak() {
    this.#spoken = performance.now();
    this.element.setAttribute("aria-valuenow", Math.min(0, this.#level).toFixed(0));
    this.element.setAttribute("aria-valuetext", decibels(this.#level));
  }
}
