// Shortcuts for the mixer; never while somebody types, chooses or answers a dialog.

import { announce } from "./dom.js";
import { t } from "./i18n.js";

const CHORD_MS = 2000;
const CHORDS = { m: ["mute", "chordMute"], s: ["solo", "chordSolo"] };

/** Listen for shortcuts; `find()` gives { mixer, help, exportMix } of now, mixer being null where there is none. */
export function listenToKeys(find) {
  let chord = null;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const actions = find();
    const pressed = event.key.toLowerCase();
    if (pressed === "?" && !isTyping(event.target)) return actions.help();
    if (!actions.mixer || isBusy(event.target, pressed)) return;
    if (chord && performance.now() - chord.at < CHORD_MS && /^[1-9]$/.test(pressed)) {
      event.preventDefault();
      actions.mixer.toggleTrack(Number(pressed) - 1, chord.field);
      return;
    }
    chord = null;
    if (pressed in CHORDS) {
      chord = { field: CHORDS[pressed][0], at: performance.now() };
      return announce(t(CHORDS[pressed][1]));
    }
    const act = shortcut(pressed, actions);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function shortcut(pressed, { mixer, exportMix }) {
  return {
    " ": () => mixer.toggle(),
    arrowleft: () => mixer.skip(-1),
    arrowright: () => mixer.skip(1),
    home: () => mixer.toStart(),
    l: () => mixer.toggleLoop(),
    i: () => mixer.markRegion("start"),
    o: () => mixer.markRegion("end"),
    e: exportMix,
  }[pressed];
}

const isTyping = (target) => target.matches("input:not([type=range]), textarea, select");

/** Whether the focused control needs the key for itself. */
function isBusy(target, pressed) {
  if (isTyping(target)) return true;
  if (pressed === " ") return target.matches("button, a, summary");
  return target.matches("input[type=range]") && /^(arrow|home)/.test(pressed);
}
