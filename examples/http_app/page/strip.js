// One stem in the mixer: name, mute, solo, gain, pan, level, waveform.

import { withKey } from "./api.js";
import { h, icon } from "./dom.js";
import { decibels } from "./format.js";
import { stemName, t } from "./i18n.js";
import { Meter } from "./meter.js";
import { Waveform } from "./waveform.js";

/** Range of the faders; beyond it a stem is muted or too loud. */
export const GAIN_DB = { low: -40, high: 12 };

/** Colours of stems that everybody knows; others take the next one of the rest. */
const COLOURS = {
  vocals: "#ff6fae",
  drums: "#ffb14a",
  bass: "#43d19e",
  other: "#6aa8ff",
  guitar: "#ff8560",
  piano: "#b794ff",
  accompaniment: "#6aa8ff",
};
const REST = ["#5ad1e6", "#d6c25a", "#e58ad6"];

/** A range input that a double click puts back. */
export function slider({ label, low, high, step, value, text, plain = 0, oninput }) {
  const input = h("input", { type: "range", min: `${low}`, max: `${high}`, step: `${step}`, "aria-label": label });
  const show = (number) => {
    input.value = number;
    input.setAttribute("aria-valuetext", text(number));
    input.style.setProperty("--fill", `${((number - low) / (high - low)) * 100}%`);
  };
  const change = (number) => {
    show(number);
    oninput(number);
  };
  input.addEventListener("input", () => change(Number(input.value)));
  input.addEventListener("dblclick", () => change(plain));
  show(value);
  return { input, show };
}

/** "C", "L40", "R100". */
export function panText(pan) {
  const value = Math.round(Math.abs(pan) * 100);
  return value === 0 ? t("panCentre") : t(pan < 0 ? "panLeft" : "panRight", { value });
}

/** A strip of the mixer. `onChange` is called when the user changed its track. */
export class Strip {
  constructor(stem, number, track, onChange) {
    this.track = track;
    this.onChange = onChange;
    this.name = stemName(stem);
    this.color = COLOURS[stem] ?? REST[number % REST.length];
    this.meter = new Meter(t("levelOf", { stem: this.name }));
    this.lane = h(
      "div",
      { class: "lane", title: t("waveOf", { stem: this.name }) },
      h("div", { class: "region", hidden: true }),
    );
    this.download = h("a", { class: "icon-button small", hidden: true }, icon("download"));
    this.element = this.#build(stem, number);
    this.element.style.setProperty("--stem", this.color);
    this.show();
  }

  /** Start the waveform, once the strip is on the page. */
  attach(duration, onSeek) {
    this.wave = new Waveform(this.lane, { color: this.color, duration, onSeek });
  }

  #build(stem, number) {
    this.muteButton = this.#toggle("mute", t("mute"), t("muteOf", { stem: this.name }));
    this.soloButton = this.#toggle("solo", t("solo"), t("soloOf", { stem: this.name }));
    this.gain = this.#slider("gain_db", t("gainOf", { stem: this.name }), GAIN_DB.low, GAIN_DB.high, 0.5, decibels);
    this.pan = this.#slider("pan", t("panOf", { stem: this.name }), -1, 1, 0.05, panText);
    this.gainText = h("output", { class: "value" });
    this.panText = h("output", { class: "value" });
    const head = h(
      "div",
      { class: "strip-head" },
      h("h3", { class: "strip-name" }, h("kbd", { "aria-hidden": "true" }, `${number + 1}`), this.name),
      h("div", { class: "toggles" }, this.muteButton, this.soloButton, this.download),
      h("div", { class: "knob gain" }, h("span", { "aria-hidden": "true" }, t("gain")), this.gain.input, this.gainText),
      h("div", { class: "knob pan" }, h("span", { "aria-hidden": "true" }, t("pan")), this.pan.input, this.panText),
    );
    const properties = { class: "strip", role: "group", "aria-label": this.name, "data-stem": stem };
    return h("section", properties, head, this.meter.element, this.lane);
  }

  #toggle(field, text, label) {
    const onclick = () => this.toggle(field);
    return h("button", { type: "button", class: `toggle ${field}`, "aria-label": label, title: label, onclick }, text);
  }

  #slider(field, label, low, high, step, text) {
    const oninput = (value) => this.#change(field, value);
    return slider({ label, low, high, step, text, value: this.track[field], oninput });
  }

  #change(field, value) {
    this.track[field] = value;
    this.show();
    this.onChange();
  }

  /** Turn mute or solo on or off. */
  toggle(field) {
    this.#change(field, !this.track[field]);
  }

  /** Show the track as it is. */
  show() {
    this.muteButton.setAttribute("aria-pressed", this.track.mute);
    this.soloButton.setAttribute("aria-pressed", this.track.solo);
    this.gain.show(this.track.gain_db);
    this.pan.show(this.track.pan);
    this.gainText.textContent = decibels(this.track.gain_db);
    this.panText.textContent = panText(this.track.pan);
  }

  /** Offer the finished stem. */
  offer(stem) {
    const label = t("downloadOf", { stem: this.name });
    this.download.href = withKey(stem.url);
    this.download.setAttribute("aria-label", label);
    this.download.title = label;
    this.download.setAttribute("download", "");
    this.download.hidden = false;
  }

  destroy() {
    this.wave?.destroy();
  }
}
