// The mixer: a transport, a time line, and a strip for every stem.

import { h, icon } from "./dom.js";
import { clock, decibels } from "./format.js";
import { factor } from "./graph.js";
import { t } from "./i18n.js";
import { Meter } from "./meter.js";
import { plainMix, recallMix, rememberMix } from "./mix.js";
import { fetchPeaks, LivePeaks, loudestOf, scalePeaks } from "./peaks.js";
import { Player } from "./player.js";
import { GAIN_DB, slider, Strip } from "./strip.js";
import { Timeline } from "./timeline.js";

const SKIP_SECONDS = 5;

/** The mixer of one project. `onExport(mixer)` opens the export; `onFailed(error)` is told what cannot be played. */
export class Mixer {
  #abort = new AbortController();
  #frame = 0;
  #frameTime = 0;
  #region = null;
  #loops = false;

  constructor(preview, durationSeconds, { onExport, onFailed }) {
    this.preview = preview;
    this.duration = durationSeconds;
    this.mix = recallMix(preview.projectId, preview.stems);
    this.player = new Player(preview, this.mix, durationSeconds);
    this.player.addEventListener("state", () => this.#showState());
    this.player.addEventListener("failed", (event) => onFailed(event.detail));
    this.live = new Map(preview.stems.map((stem) => [stem, new LivePeaks(this.player.totalSamples)]));
    const { signal } = this.#abort;
    preview.addEventListener("manifest", () => this.#settle(), { signal });
    preview.addEventListener("segment", (event) => this.#drawSegment(event.detail), { signal });
    this.element = this.#build(onExport);
  }

  /** Start drawing, once the mixer is on the page. */
  attach() {
    for (const strip of this.strips.values()) strip.attach(this.duration, (seconds) => this.player.seek(seconds));
    this.#settle();
    this.#showState();
    this.player.prepare();
    this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  /** The project is ready: whole waveforms, downloads, export. */
  async finish(stems) {
    this.exportButton.disabled = false;
    this.exportButton.title = t("exportTitle");
    for (const stem of stems) this.strips.get(stem.name)?.offer(stem);
    const fetched = await Promise.all(stems.map((stem) => fetchPeaks(stem.peaks_url, this.#abort.signal)));
    this.live.clear();
    this.#drawPeaks(new Map(stems.map((stem, number) => [stem.name, fetched[number]])));
  }

  #drawPeaks(peaksOf) {
    const loudest = loudestOf([...peaksOf.values()]);
    for (const [stem, peaks] of peaksOf) this.strips.get(stem)?.wave?.draw(scalePeaks(peaks, loudest));
  }

  toggle() {
    if (this.player.wanted) this.player.pause();
    else this.player.play();
  }

  skip(direction) {
    this.player.seek(this.player.position + direction * SKIP_SECONDS);
  }

  toStart() {
    this.player.seek(this.#loops && this.#region ? this.#region.start : 0);
  }

  toggleLoop() {
    this.#setLoop(!this.#loops, this.#region);
  }

  /** Let the region start ("start") or end ("end") where the playback is. */
  markRegion(edge) {
    const region = { start: 0, end: this.duration, ...this.#region, [edge]: this.player.position };
    if (region.end > region.start) this.#setLoop(true, region);
  }

  toggleTrack(index, field) {
    [...this.strips.values()][index]?.toggle(field);
  }

  get region() {
    return this.#region;
  }

  /** The mix has changed: hear it, show it, remember it. */
  changed({ fades = false } = {}) {
    this.player.applyMix({ fades });
    this.#showHeard();
    rememberMix(this.preview.projectId, this.mix);
  }

  reset() {
    const plain = plainMix(this.preview.stems);
    for (const stem of this.preview.stems) Object.assign(this.mix.stems[stem], plain.stems[stem]);
    Object.assign(this.mix, { ...plain, stems: this.mix.stems });
    for (const strip of this.strips.values()) strip.show();
    this.masterGain.show(0);
    this.masterText.textContent = decibels(0);
    this.changed({ fades: true });
  }

  async close() {
    cancelAnimationFrame(this.#frame);
    this.#abort.abort();
    this.timeline.destroy();
    for (const strip of this.strips.values()) strip.destroy();
    await this.player.close();
  }

  #build(onExport) {
    this.timeline = new Timeline(this.duration, {
      onSeek: (seconds) => this.player.seek(seconds),
      onRegion: (region) => this.#setLoop(Boolean(region), region),
    });
    const onChange = () => this.changed();
    const makeStrip = (stem, number) => [stem, new Strip(stem, number, this.mix.stems[stem], onChange)];
    this.strips = new Map(this.preview.stems.map(makeStrip));
    this.#showHeard();
    return h(
      "section",
      { class: "mixer", "aria-label": t("mixer") },
      this.#buildTransport(onExport),
      h("div", { class: "timeline-row" }, this.#buildLoopText(), this.timeline.element),
      h("div", { class: "strips" }, ...[...this.strips.values()].map((strip) => strip.element)),
    );
  }

  #button(name, label, onclick, kind = "icon-button") {
    return h(
      "button",
      { type: "button", class: `${kind} ${name}`, "aria-label": label, title: label, onclick },
      icon(name),
    );
  }

  #buildTransport(onExport) {
    this.playButton = this.#button("play", t("play"), () => this.toggle(), "play-button");
    this.loopButton = this.#button("loop", t("loop"), () => this.toggleLoop());
    this.loopButton.setAttribute("aria-pressed", "false");
    this.now = h("span", { class: "now" }, clock(0, true));
    this.waiting = h("span", { class: "waiting", role: "status" });
    const total = h("span", { class: "total" }, ` / ${clock(this.duration)}`);
    this.exportButton = h(
      "button",
      {
        type: "button",
        class: "primary export",
        disabled: true,
        title: t("exportLater"),
        onclick: () => onExport(this),
      },
      ...[icon("download"), t("exportButton")],
    );
    const reset = h("button", { type: "button", class: "text-button reset", onclick: () => this.reset() }, t("reset"));
    const start = this.#button("start", t("toStart"), () => this.toStart());
    return h(
      "div",
      { class: "transport", role: "group", "aria-label": t("transport") },
      h(
        "div",
        { class: "transport-main" },
        h("div", { class: "buttons" }, start, this.playButton, this.loopButton),
        h("div", { class: "clock" }, this.now, total, this.waiting),
      ),
      h(
        "div",
        { class: "transport-more" },
        this.#buildMaster(),
        h("div", { class: "actions" }, reset, this.exportButton),
      ),
    );
  }

  #buildMaster() {
    this.masterText = h("output", { class: "value" }, decibels(this.mix.gain_db));
    const oninput = (value) => {
      this.mix.gain_db = value;
      this.masterText.textContent = decibels(value);
      this.changed();
    };
    const range = { low: GAIN_DB.low, high: GAIN_DB.high, step: 0.5, text: decibels, value: this.mix.gain_db };
    this.masterGain = slider({ label: t("masterGain"), ...range, oninput });
    this.masterMeters = ["L", "R"].map((side) => new Meter(`${t("masterLevel")} ${side}`));
    const meters = h("div", { class: "master-meters" }, ...this.masterMeters.map((meter) => meter.element));
    const name = h("span", { "aria-hidden": "true" }, t("master"));
    return h(
      "div",
      { class: "master" },
      h("div", { class: "knob" }, name, this.masterGain.input, this.masterText),
      meters,
    );
  }

  #buildLoopText() {
    this.loopText = h("span", { class: "loop-text", role: "status" });
    const clear = () => this.#setLoop(this.#loops, null);
    this.loopClear = this.#button("close", t("loopClear"), clear, "icon-button small");
    this.loopClear.hidden = true;
    return h("div", { class: "loop-row" }, this.loopText, this.loopClear);
  }

  #setLoop(loops, region) {
    this.#loops = loops;
    this.#region = region;
    this.player.setLoop(loops ? (region ?? { start: 0, end: this.duration }) : null);
    this.loopButton.setAttribute("aria-pressed", loops);
    this.timeline.showRegion(region);
    for (const { lane } of this.strips.values()) {
      const shade = lane.querySelector(".region");
      shade.hidden = !region;
      if (region) this.timeline.place(shade, region);
    }
    this.element.classList.toggle("looping", loops);
    const ends = region && { start: clock(region.start, true), end: clock(region.end, true) };
    this.loopText.textContent = region ? t("loopSet", ends) : "";
    this.loopClear.hidden = !region;
  }

  #settle() {
    this.timeline.settle(this.preview.complete ? this.duration : this.preview.playableSeconds);
  }

  #drawSegment({ segment, buffers }) {
    for (const [stem, peaks] of this.live) {
      peaks.add(segment.start, buffers.get(stem), factor(this.preview.gainDb));
    }
    this.#drawPeaks(new Map([...this.live].map(([stem, peaks]) => [stem, peaks.values])));
  }

  #showHeard() {
    const tracks = [...this.strips.values()].map((strip) => strip.track);
    const someSolo = tracks.some((track) => track.solo);
    for (const { element, track } of this.strips.values()) {
      element.classList.toggle("silent", track.mute || (someSolo && !track.solo));
    }
  }

  #showState() {
    const { state, wanted } = this.player;
    this.element.dataset.state = state;
    this.playButton.replaceChildren(icon(wanted ? "pause" : "play"));
    const label = t(wanted ? "pause" : "play");
    this.playButton.setAttribute("aria-label", label);
    this.playButton.title = label;
    this.waiting.textContent = state === "buffering" ? t("buffering") : "";
  }

  #draw(now) {
    const seconds = Math.min(0.1, (now - this.#frameTime) / 1000);
    this.#frameTime = now;
    const { graph, position, state } = this.player;
    const playing = state === "playing";
    for (const [stem, strip] of this.strips) {
      strip.meter.show(playing ? graph.channels.get(stem)?.meter : null, seconds);
    }
    this.masterMeters.forEach((meter, side) => meter.show(playing ? graph.meters[side] : null, seconds));
    if (position !== this.shown) this.#showPosition(position);
    this.#frame = requestAnimationFrame((next) => this.#draw(next));
  }

  #showPosition(position) {
    this.shown = position;
    this.now.textContent = clock(position, true);
    this.timeline.moveTo(position);
    for (const strip of this.strips.values()) strip.wave.moveTo(position);
  }
}
