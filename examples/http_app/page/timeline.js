// The time line above the waveforms: a position that can be moved, and a region that can be looped.

import { h } from "./dom.js";
import { clock } from "./format.js";
import { t } from "./i18n.js";

const STEP_SECONDS = 5;
const SHORTEST_REGION_SECONDS = 0.25;
const DRAG_PIXELS = 6;
const TICK_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
const PIXELS_PER_TICK = 80;

/** A slider over the whole song. `onSeek(seconds)`; `onRegion({start, end} | null)`. */
export class Timeline {
  #duration;
  #settled = h("span", { class: "settled" });
  #cursor = h("span", { class: "cursor" });
  #region = h("span", { class: "region", hidden: true });
  #ticks = h("span", { class: "ticks", "aria-hidden": "true" });
  #drag = null;

  constructor(duration, { onSeek, onRegion }) {
    this.#duration = duration;
    this.onSeek = onSeek;
    this.onRegion = onRegion;
    this.element = h(
      "div",
      { class: "timeline", role: "slider", tabindex: "0", "aria-label": t("timeline"), title: t("loopHelp") },
      ...[this.#settled, this.#region, this.#ticks, this.#cursor],
    );
    this.element.setAttribute("aria-valuemin", "0");
    this.element.setAttribute("aria-valuemax", duration.toFixed(1));
    this.element.addEventListener("pointerdown", (event) => this.#press(event));
    this.element.addEventListener("pointermove", (event) => this.#move(event));
    this.element.addEventListener("pointerup", (event) => this.#release(event));
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.sizes = new ResizeObserver(() => this.#drawTicks());
    this.sizes.observe(this.element);
    this.moveTo(0);
  }

  /** Show the position. */
  moveTo(seconds) {
    this.position = seconds;
    this.#cursor.style.left = this.#share(seconds);
    this.element.setAttribute("aria-valuenow", seconds.toFixed(1));
    const spoken = t("positionOf", { now: clock(seconds), total: clock(this.#duration) });
    this.element.setAttribute("aria-valuetext", spoken);
  }

  /** Show how much can be played. */
  settle(seconds) {
    this.#settled.style.width = this.#share(seconds);
  }

  /** Show the region that is looped, or none. */
  showRegion(region) {
    this.#region.hidden = !region;
    if (region) this.place(this.#region, region);
  }

  /** Put an element over a region. */
  place(element, { start, end }) {
    element.style.left = this.#share(start);
    element.style.width = this.#share(end - start);
  }

  #share(seconds) {
    return `${Math.min(100, Math.max(0, (seconds / this.#duration) * 100))}%`;
  }

  #secondsAt(event) {
    const { left, width } = this.element.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - left) / width)) * this.#duration;
  }

  #press(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    this.#drag = { x: event.clientX, from: this.#secondsAt(event), moved: false };
  }

  #move(event) {
    if (!this.#drag) return;
    this.#drag.moved ||= Math.abs(event.clientX - this.#drag.x) > DRAG_PIXELS;
    if (this.#drag.moved) this.showRegion(this.#dragged(event));
  }

  #release(event) {
    if (!this.#drag) return;
    const { moved } = this.#drag;
    const region = this.#dragged(event);
    this.#drag = null;
    if (!moved) return this.onSeek(region.end);
    this.onRegion(region.end - region.start >= SHORTEST_REGION_SECONDS ? region : null);
  }

  #dragged(event) {
    const [start, end] = [this.#drag.from, this.#secondsAt(event)].sort((one, other) => one - other);
    return { start, end };
  }

  #key(event) {
    const moves = {
      ArrowLeft: -STEP_SECONDS,
      ArrowDown: -STEP_SECONDS,
      ArrowRight: STEP_SECONDS,
      ArrowUp: STEP_SECONDS,
    };
    const targets = { Home: 0, End: this.#duration };
    const target = event.key in moves ? this.position + moves[event.key] : targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.onSeek(Math.min(this.#duration, Math.max(0, target)));
  }

  #drawTicks() {
    const wanted = (this.#duration * PIXELS_PER_TICK) / Math.max(1, this.element.clientWidth);
    const step = TICK_STEPS.find((one) => one >= wanted) ?? TICK_STEPS.at(-1);
    const ticks = [];
    for (let seconds = 0; seconds < this.#duration - step * 0.4; seconds += step) {
      const tick = h("span", {}, clock(seconds));
      tick.style.left = this.#share(seconds);
      ticks.push(tick);
    }
    this.#ticks.replaceChildren(...ticks);
  }

  destroy() {
    this.sizes.disconnect();
  }
}
