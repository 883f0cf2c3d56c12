// Which language, and how a sentence is found in it.

import { en } from "./words.en.js";
import { pt } from "./words.pt.js";

const wanted = navigator.languages?.length ? navigator.languages : [navigator.language];
const portuguese = (wanted[0] ?? "en").toLowerCase().startsWith("pt");
const words = portuguese ? pt : en;

/** The language's tag, for numbers and dates too. */
export const locale = portuguese ? "pt-BR" : "en";

/** The sentence of a key, with {values} put in. */
export function t(key, values = {}) {
  const sentence = words[key] ?? en[key] ?? key;
  return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** The name of a stem in the user's language; strange stems keep theirs. */
export function stemName(name) {
  return words[`stem.${name}`] ?? name.charAt(0).toUpperCase() + name.slice(1);
}

/** What to tell a user of an error, by its code: a headline, what to do, and the server's own words. */
export function errorText({ code, hint, message }) {
  const known = words[`error.${code}`];
  return {
    title: known ?? t("error.unknown"),
    advice: words[`advice.${code}`] ?? hint ?? "",
    detail: known && portuguese ? "" : (message ?? ""), // the server speaks English
  };
}

/** Fill every element that names its words, and tell the document's language. */
export function translatePage(root = document) {
  document.documentElement.lang = locale;
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
}
