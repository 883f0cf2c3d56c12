// The start page: drop a song, choose a model, watch the upload.

import { keyHeaders, Problem, problemOf, renewKey } from "./api.js";
import { h, icon } from "./dom.js";
import { bytes, percent } from "./format.js";
import { errorText, stemName, t } from "./i18n.js";

const AUDIO = "audio/*,.wav,.flac,.mp3,.ogg,.m4a,.aac,.aiff,.aif,.mp4,.caf";

/** Send a file; `onProgress(sentBytes, totalBytes)`. Resolves with the server's answer, or a Problem is thrown. */
export function sendFile(file, model, { onProgress, signal }) {
  const form = new FormData();
  if (model) form.append("model", model);
  form.append("file", file, file.name);
  const sender = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    sender.open("POST", "upload");
    for (const [name, value] of Object.entries(keyHeaders())) sender.setRequestHeader(name, value);
    sender.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    sender.onerror = () => reject(new Problem(0));
    sender.onabort = () => reject(new DOMException("stopped", "AbortError"));
    sender.onload = () => {
      if (sender.status === 202) resolve(JSON.parse(sender.responseText));
      else reject(problemOf(sender.status, sender.responseText));
    };
    signal.addEventListener("abort", () => sender.abort());
    sender.send(form);
  });
}

function licenceText(model) {
  const words = { yes: "commercialYes", no: "commercialNo" };
  return `${t("licence", { licence: model.licence })} · ${t(words[model.commercial_use] ?? "commercialUnknown")}`;
}

/** The start page. `onUploaded(answer)` is called with what the server says of an accepted upload. */
export class UploadView {
  #abort = null;

  constructor({ models, limits, onUploaded }) {
    this.models = models;
    this.limits = limits;
    this.onUploaded = onUploaded;
    this.element = this.#build();
    this.#describeModel();
  }

  #build() {
    this.input = h("input", {
      type: "file",
      accept: AUDIO,
      class: "unseen",
      id: "file",
      onchange: () => this.#chosen(),
    });
    this.state = h("div", { class: "upload-state" });
    const choose = h("label", { class: "primary choose", for: "file" }, icon("upload"), t("choose"));
    this.zone = h(
      "div",
      { class: "drop-zone" },
      h("div", { class: "drop-art", "aria-hidden": "true" }, ...[0, 1, 2, 3, 4, 5, 6].map(() => h("i"))),
      h("p", { class: "drop-title" }, t("drop")),
      ...[this.input, choose],
      h("p", { class: "quiet small drop-hint" }, t("orDrop")),
      h("p", { class: "quiet small" }, this.#acceptsText()),
    );
    return h(
      "section",
      { class: "welcome" },
      h("h1", {}, t("heroTitle")),
      h("p", { class: "lead" }, t("heroText")),
      ...[this.zone, this.state, this.#buildModels()],
    );
  }

  #acceptsText() {
    const { formats, max_bytes: size, max_seconds: seconds } = this.limits;
    if (!size || !seconds) return t("acceptsAll");
    const names = formats?.length ? [...formats].map((one) => one.toUpperCase()).join(", ") : t("acceptsAll");
    return t("accepts", { formats: names, size: bytes(size), minutes: Math.round(seconds / 60) });
  }

  #buildModels() {
    const options = this.models.map((model) => {
      const words = model.available ? (model.default ? "modelDefault" : null) : "modelMissing";
      const text = words ? t(words, { name: model.name }) : model.name;
      return h("option", { value: model.name, disabled: !model.available, selected: model.default }, text);
    });
    this.select = h("select", { id: "model", onchange: () => this.#describeModel() }, ...options);
    this.about = h("div", { class: "model-about", "aria-live": "polite" });
    return h("div", { class: "model" }, h("label", { for: "model" }, t("model")), this.select, this.about);
  }

  #describeModel() {
    const model = this.models.find((one) => one.name === this.select.value);
    if (!model) return;
    const chips = model.stems.map((stem) => h("li", { class: `chip ${stem}` }, stemName(stem)));
    const about = [h("ul", { class: "chips" }, ...chips), h("p", {}, model.summary)];
    this.about.replaceChildren(...about, h("p", { class: "quiet small" }, licenceText(model)));
  }

  #chosen() {
    const [file] = this.input.files;
    this.input.value = "";
    if (file) this.upload(file);
  }

  /** Upload a file, unless one is on its way. */
  async upload(file) {
    if (this.#abort) return;
    this.#abort = new AbortController();
    const show = this.#showProgress(file);
    try {
      this.#checkSize(file);
      this.onUploaded(await this.#send(file, show));
      this.state.replaceChildren();
    } catch (error) {
      this.#showError(error);
    }
    this.#abort = null;
    this.zone.hidden = false;
  }

  async #send(file, onProgress) {
    const { signal } = this.#abort;
    try {
      return await sendFile(file, this.select.value, { onProgress, signal });
    } catch (problem) {
      if (problem.status === 401 && (await renewKey())) return this.#send(file, onProgress);
      throw problem;
    }
  }

  #checkSize(file) {
    const { max_bytes: limit } = this.limits;
    if (limit && file.size > limit) throw new Problem(413, { code: "too_large", limit_bytes: limit });
  }

  #showProgress(file) {
    this.zone.hidden = true;
    const bar = h("span", { class: "bar" });
    const text = h("p", { class: "quiet small", role: "status" });
    const meter = h(
      "div",
      {
        class: "progress",
        role: "progressbar",
        "aria-label": t("uploadProgress"),
        "aria-valuemin": "0",
        "aria-valuemax": "100",
      },
      bar,
    );
    const stop = h(
      "button",
      { type: "button", class: "text-button", onclick: () => this.#abort.abort() },
      t("stopUpload"),
    );
    const title = h("p", { class: "upload-name" }, t("uploading", { name: file.name }));
    this.state.replaceChildren(h("div", { class: "card uploading" }, title, meter, text, stop));
    return (sent, total) => {
      const share = total ? sent / total : 0;
      bar.style.width = `${share * 100}%`;
      meter.setAttribute("aria-valuenow", Math.round(share * 100));
      const whole = t("uploadOf", { sent: bytes(sent), total: bytes(total) });
      text.textContent = share < 1 ? `${whole} · ${percent(share)}` : t("checking");
    };
  }

  #showError(error) {
    if (error.name === "AbortError") return this.state.replaceChildren(h("p", { class: "quiet" }, t("uploadStopped")));
    this.state.replaceChildren(errorCard(error));
  }
}

/** A card that says what went wrong and what to do. */
export function errorCard(error) {
  const { title, advice, detail } = errorText(error);
  return h(
    "div",
    { class: "card error", role: "alert", "data-code": error.code ?? "unknown" },
    h("p", { class: "error-title" }, title),
    advice ? h("p", {}, advice) : null,
    detail ? h("p", { class: "quiet small" }, detail) : null,
  );
}
