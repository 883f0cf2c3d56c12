// The export: the very mix document that plays, rendered by the server.

import { request } from "./api.js";
import { dialogButtons, openDialog } from "./dialogs.js";
import { h, toast } from "./dom.js";
import { bytes, clock, decibels, parseClock } from "./format.js";
import { errorText, t } from "./i18n.js";

const ENCODINGS = { wav: ["int16", "int24", "float32"], flac: ["int16", "int24"], mp3: [], ogg: [] };

/** The name a server gives a file, of a Content-Disposition header. */
export function fileName(disposition, otherwise) {
  const extended = /filename\*=(?:UTF-8|utf-8)''([^;]+)/.exec(disposition ?? "");
  const plain = /filename="?([^";]+)"?/.exec(disposition ?? "");
  return extended ? decodeURIComponent(extended[1]) : (plain?.[1] ?? otherwise);
}

/** Ask for an export; the file as { blob, name, gainDb }. */
export async function requestExport(projectId, mix, format, encoding = null) {
  const json = { project_id: projectId, mix, format, encoding };
  const answer = await request("export", { method: "POST", json });
  const name = fileName(answer.headers.get("Content-Disposition"), `mix.${format}`);
  return { blob: await answer.blob(), name, gainDb: Number(answer.headers.get("X-Isomix-Gain-Db") ?? 0) };
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function field(id, words, input) {
  input.id = id;
  return h("div", { class: "field" }, h("label", { for: id }, t(words)), input);
}

function select(options) {
  return h("select", {}, ...options.map(([value, text]) => h("option", { value }, text)));
}

function encodingOptions(format) {
  return [["", t("encodingDefault")], ...ENCODINGS[format].map((one) => [one, t(one)])];
}

function makeFields(mixer) {
  const { mix, region, duration } = mixer;
  const track = Object.values(mix.stems)[0];
  const time = (seconds) => h("input", { type: "text", inputmode: "decimal", value: clock(seconds, true) });
  const fade = (seconds) => h("input", { type: "number", min: "0", max: "30", step: "0.1", value: `${seconds}` });
  const fields = {
    format: select(Object.keys(ENCODINGS).map((one) => [one, one.toUpperCase()])),
    encoding: select(encodingOptions("wav")),
    start: time(region?.start ?? mix.start_seconds),
    end: time(region?.end ?? mix.end_seconds ?? duration),
    fadeIn: fade(track.fade_in_seconds),
    fadeOut: fade(track.fade_out_seconds),
  };
  fields.format.addEventListener("change", () => {
    const options = encodingOptions(fields.format.value);
    fields.encoding.replaceChildren(...select(options).children);
    fields.encoding.disabled = options.length === 1;
  });
  return fields;
}

/** Write the dialog's stretch and fades into the mix document; false if they are impossible. */
function takeOver(mixer, fields) {
  const start = parseClock(fields.start.value);
  const end = parseClock(fields.end.value);
  if (!(start >= 0 && end > start && start < mixer.duration)) return false;
  mixer.mix.start_seconds = start;
  mixer.mix.end_seconds = end >= mixer.duration - 0.1 ? null : end;
  for (const track of Object.values(mixer.mix.stems)) {
    track.fade_in_seconds = Number(fields.fadeIn.value);
    track.fade_out_seconds = Number(fields.fadeOut.value);
  }
  mixer.changed({ fades: true });
  return true;
}

/** Open the export of a mixer's mix. */
export function exportDialog(mixer) {
  const fields = makeFields(mixer);
  const note = h("p", { class: "note", role: "status" });
  const button = h("button", { type: "submit", class: "primary" }, t("exportNow"));
  const form = h(
    "form",
    { method: "dialog" },
    h("p", { class: "quiet" }, t("exportText")),
    h(
      "div",
      { class: "fields" },
      field("export-format", "format", fields.format),
      field("export-encoding", "encoding", fields.encoding),
      field("export-start", "from", fields.start),
      field("export-end", "to", fields.end),
      field("export-fade-in", "fadeIn", fields.fadeIn),
      field("export-fade-out", "fadeOut", fields.fadeOut),
    ),
    h("p", { class: "quiet small" }, t("timesHelp")),
    note,
    dialogButtons(button),
  );
  const { dialog, closed } = openDialog(t("exportTitle"), [form], "export-dialog");
  form.addEventListener("submit", (event) => {
    if (event.submitter !== button) return;
    event.preventDefault();
    if (takeOver(mixer, fields)) run(mixer, fields, { dialog, note, button });
    else note.textContent = t("badTimes");
  });
  return closed;
}

async function run(mixer, fields, { dialog, note, button }) {
  button.disabled = true;
  note.textContent = t("exporting");
  note.classList.add("busy");
  try {
    const { format, encoding } = fields;
    const made = await requestExport(mixer.preview.projectId, mixer.mix, format.value, encoding.value || null);
    save(made.blob, made.name);
    const facts = { name: made.name, size: bytes(made.blob.size), gain: decibels(-made.gainDb) };
    toast(t(made.gainDb < -0.005 ? "exportedGain" : "exported", facts).replace("+", ""), "good");
    dialog.close("");
  } catch (problem) {
    const { title, advice } = errorText(problem);
    note.textContent = [title, advice].filter(Boolean).join(". ");
    button.disabled = false;
  }
  note.classList.remove("busy");
}
