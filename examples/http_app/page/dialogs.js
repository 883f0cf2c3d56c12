// Modal dialogs: help, a key, a yes or no.

import { h, icon } from "./dom.js";
import { t } from "./i18n.js";

/** Show a dialog made of a title and children; resolves with the value of the button that closed it, or "". */
export function openDialog(title, children, kind = "") {
  const close = h("button", { type: "button", class: "icon-button small", "aria-label": t("close") }, icon("close"));
  const heading = h("h2", { id: "dialog-title" }, title);
  const top = h("div", { class: "dialog-top" }, heading, close);
  const dialog = h("dialog", { class: kind, "aria-labelledby": "dialog-title" }, top, ...children);
  close.addEventListener("click", () => dialog.close(""));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close(""));
  document.body.append(dialog);
  dialog.showModal();
  const closed = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
  return { dialog, closed };
}

/** Buttons at the end of a dialog. Cancel submits nothing: Enter has to mean the other one. */
export function dialogButtons(...buttons) {
  const onclick = (event) => event.target.closest("dialog").close("");
  const cancel = h("button", { type: "button", class: "text-button", onclick }, t("cancel"));
  return h("div", { class: "dialog-buttons" }, cancel, ...buttons);
}

/** Ask for a yes; true if it was given. */
export async function confirmDialog(title, text, yes) {
  const button = h("button", { type: "submit", value: "yes", class: "primary danger" }, yes);
  const form = h("form", { method: "dialog" }, h("p", {}, text), dialogButtons(button));
  return (await openDialog(title, [form], "narrow").closed) === "yes";
}

/** Ask for an API key; null if none was given. */
export async function keyDialog() {
  const input = h("input", { type: "password", required: "", autocomplete: "off", id: "api-key" });
  const button = h("button", { type: "submit", value: "use", class: "primary" }, t("keyUse"));
  const label = h("label", { for: "api-key" }, t("key"));
  const form = h("form", { method: "dialog" }, h("p", {}, t("keyText")), label, input, dialogButtons(button));
  return (await openDialog(t("keyTitle"), [form], "narrow").closed) === "use" ? input.value.trim() : null;
}

/** List the keyboard shortcuts. */
export function helpDialog() {
  const shortcuts = [
    [["Space"], "helpPlay"],
    [["←", "→"], "helpSeek"],
    [["Home"], "helpHome"],
    [["L"], "helpLoop"],
    [["I", "O"], "helpRegion"],
    [["M", "1…9"], "helpMute"],
    [["S", "1…9"], "helpSolo"],
    [["E"], "helpExport"],
    [["?"], "helpHelp"],
  ];
  const rows = shortcuts.map(([keys, words]) =>
    h("div", {}, h("dt", {}, ...keys.map((key) => h("kbd", {}, key))), h("dd", {}, t(words))),
  );
  return openDialog(t("helpTitle"), [h("dl", { class: "shortcuts" }, ...rows)], "narrow").closed;
}
