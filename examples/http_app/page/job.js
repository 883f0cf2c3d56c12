// The card that says how the separation goes.

import { h } from "./dom.js";
import { clock, percent } from "./format.js";
import { t } from "./i18n.js";

/** What happens now, in one sentence; it changes seldom enough to be read out. */
export function phaseText(status) {
  return status.status === "pending" ? t(`phase_${status.phase}`) : t(`status_${status.status}`);
}

/** Facts beside the phase: share, remaining time, place in the queue. */
export function factsText(status) {
  if (status.phase === "queued") {
    const ahead = status.queue_position;
    return ahead === null ? "" : ahead > 0 ? t("queuePosition", { count: ahead }) : t("queueNext");
  }
  const share = percent(Math.round(status.progress * 100) / 100);
  const left = status.eta_seconds === null ? null : t("eta", { time: clock(Math.ceil(status.eta_seconds)) });
  return [share, left].filter(Boolean).join(" · ");
}

/** The card of a running job; `onCancel()` is called by its button. */
export class JobCard {
  constructor(onCancel) {
    this.bar = h("span", { class: "bar" });
    this.progress = h(
      "div",
      {
        class: "progress",
        role: "progressbar",
        "aria-label": t("progress"),
        "aria-valuemin": "0",
        "aria-valuemax": "100",
      },
      this.bar,
    );
    this.phase = h("p", { class: "phase", role: "status" });
    this.facts = h("p", { class: "facts" });
    this.warning = h("p", { class: "warning", role: "status" });
    this.playable = h("p", { class: "quiet small playable" });
    this.cancel = h(
      "button",
      { type: "button", class: "text-button cancel", onclick: () => this.#cancel(onCancel) },
      t("cancelJob"),
    );
    const line = h("div", { class: "job-line" }, h("div", {}, this.phase, this.facts), this.cancel);
    this.element = h(
      "section",
      { class: "card job", "aria-label": t("status_pending") },
      line,
      this.progress,
      this.warning,
      this.playable,
    );
  }

  async #cancel(onCancel) {
    this.cancel.disabled = true;
    this.cancel.textContent = t("cancelling");
    if (!(await onCancel())) this.cancel.disabled = false;
  }

  show(status) {
    const share = Math.round(status.progress * 100);
    const words = `${t("status_pending")} ${phaseText(status)}`;
    if (this.phase.textContent !== words) this.phase.textContent = words;
    this.facts.textContent = factsText(status);
    this.bar.style.width = `${status.progress * 100}%`;
    this.progress.setAttribute("aria-valuenow", share);
    this.element.classList.toggle("queued", status.phase === "queued");
    this.#warn(status);
    const seconds = status.playable_seconds;
    this.playable.textContent = seconds >= 1 ? t("playable", { time: clock(seconds) }) : "";
  }

  /** Whether a worker that had begun has lost it: it waits again, or another attempt is running. */
  #wasLost({ phase, attempt }) {
    if (phase !== "queued") this.attempt ??= attempt;
    return this.attempt !== undefined && (phase === "queued" || attempt !== this.attempt);
  }

  #warn(status) {
    const lost = this.#wasLost(status);
    const words = !status.worker_online ? t("noWorker") : lost ? t("recovering") : "";
    if (this.warning.textContent !== words) this.warning.textContent = words;
    this.warning.hidden = !words;
  }
}
