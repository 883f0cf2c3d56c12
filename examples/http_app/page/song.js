// The page of one song: its status while it is separated, its mixer as soon as something can be heard.

import { cancelProject, reseparate } from "./api.js";
import { announce, h, toast } from "./dom.js";
import { exportDialog } from "./export.js";
import { clock, moment } from "./format.js";
import { errorText, t } from "./i18n.js";
import { JobCard, phaseText } from "./job.js";
import { Mixer } from "./mixer.js";
import { Preview } from "./preview.js";
import { isFinal, Watcher } from "./status.js";
import { errorCard } from "./upload.js";

const DURATION_SLACK_SECONDS = 0.5;

/** One song. `onStatus(status)` is told every change. */
export class SongView {
  #closed = false;
  #phase = "";

  constructor(id, { onStatus }) {
    this.id = id;
    this.onStatus = onStatus;
    this.preview = new Preview(id);
    this.mixer = null;
    this.job = new JobCard(() => this.#cancel());
    this.element = this.#build();
    this.#watch();
  }

  #build() {
    this.title = h("h1", { class: "song-title" });
    this.meta = h("p", { class: "quiet song-meta" });
    this.link = h("span", { class: "link", role: "status" });
    this.badge = h("span", { class: "badge" });
    this.card = h("div", { class: "song-card" });
    this.place = h("div", { class: "mixer-place" });
    const head = h("div", { class: "song-head" }, h("div", {}, this.title, this.meta), this.link, this.badge);
    return h("article", { class: "song", "data-status": "" }, head, this.card, this.place);
  }

  #watch() {
    this.watcher = new Watcher(this.id, {
      onStatus: (status) => this.#show(status),
      onLink: (link) => this.#showLink(link),
      onError: (problem) => this.card.replaceChildren(errorCard(problem)),
    });
  }

  #showLink(link) {
    this.link.dataset.link = link;
    this.link.textContent = link === "done" ? "" : t(link === "live" ? "linkLive" : "linkPolling");
  }

  #show(status) {
    if (this.#closed) return;
    this.status = status;
    this.onStatus(status);
    this.title.textContent = status.name;
    this.meta.textContent = [clock(status.duration_seconds ?? 0), status.model, moment(status.created_at)].join(" · ");
    this.badge.textContent = t(`status_${status.status}`);
    this.element.dataset.status = status.status;
    document.title = `${status.name} – IsoMix Studio`;
    this.#showCard(status);
    this.#tellPhase(status);
    this.#followPreview(status).catch((error) => this.#fail(error));
  }

  #tellPhase(status) {
    const phase = phaseText(status);
    if (phase !== this.#phase) announce(phase);
    this.#phase = phase;
  }

  #showCard(status) {
    const again = h("button", { type: "button", class: "primary", onclick: () => this.#again() }, t("again"));
    if (status.status === "pending") {
      this.job.show(status);
      if (this.card.firstChild !== this.job.element) this.card.replaceChildren(this.job.element);
    } else if (status.status === "failed") {
      this.card.replaceChildren(errorCard(status.error ?? {}), again);
    } else if (status.status === "cancelled") {
      this.card.replaceChildren(h("p", { class: "card quiet" }, t("cancelledText")), again);
    } else {
      this.card.replaceChildren();
    }
  }

  async #followPreview(status) {
    const { preview } = this;
    const anew = status.attempt !== this.attempt;
    const more = anew || status.playable_seconds > preview.playableSeconds + 0.01 || status.status === "ready";
    if (status.playable_seconds > 0 && more && !(preview.complete && !anew)) {
      this.attempt = status.attempt;
      await preview.refresh();
    }
    if (this.#closed) return;
    const duration = preview.complete ? preview.playableSeconds : status.duration_seconds;
    if (!this.mixer && preview.playableSamples > 0 && duration) this.#openMixer(duration);
    if (status.status === "ready" && this.mixer) await this.#finish(status, duration);
  }

  #openMixer(duration) {
    this.mixer = new Mixer(this.preview, duration, {
      onExport: exportDialog,
      onFailed: (error) => this.#fail(error),
    });
    this.place.replaceChildren(this.mixer.element);
    this.mixer.attach();
  }

  /** Some files tell their duration only at their end: then the mixer is drawn anew, and goes on where it was. */
  async #correctDuration(duration) {
    const { position, wanted } = this.mixer.player;
    await this.mixer.close();
    this.#openMixer(duration);
    this.mixer.player.seek(position);
    if (wanted) await this.mixer.player.play();
  }

  async #finish(status, duration) {
    if (this.finished) return;
    this.finished = true;
    if (Math.abs(duration - this.mixer.duration) > DURATION_SLACK_SECONDS) await this.#correctDuration(duration);
    announce(t("stemsReady", { count: status.stems.length }));
    await this.mixer.finish(status.stems);
  }

  #fail(error) {
    if (error.name === "AbortError" || this.#closed) return;
    const code = error.name === "EncodingError" ? "decode" : error.code;
    toast(errorText({ code, hint: error.hint }).title);
  }

  async #cancel() {
    try {
      this.#show(await cancelProject(this.id));
      return true;
    } catch (problem) {
      toast(errorText(problem).title);
      return false;
    }
  }

  async #again() {
    try {
      await reseparate(this.id, this.status.model);
      dispatchEvent(new HashChangeEvent("hashchange"));
    } catch (problem) {
      toast(errorText(problem).title);
    }
  }

  /** Whether nothing more will happen by itself. */
  get final() {
    return Boolean(this.status && isFinal(this.status));
  }

  async close() {
    this.#closed = true;
    this.watcher.stop();
    this.preview.close();
    await this.mixer?.close();
  }
}
