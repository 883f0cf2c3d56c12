// Numbers as people read them.

import { locale } from "./i18n.js";

/** "3:07", or "3:07.4" with tenths. */
export function clock(seconds, tenths = false) {
  const units = tenths ? Math.floor(Math.max(0, seconds) * 10 + 1e-6) / 10 : Math.floor(Math.max(0, seconds) + 1e-6);
  const minutes = Math.floor(units / 60);
  const rest = (units - minutes * 60).toFixed(tenths ? 1 : 0);
  return `${minutes}:${rest.padStart(tenths ? 4 : 2, "0")}`;
}

/** Seconds from "83.5" or "1:23.5"; NaN if it is neither. */
export function parseClock(text) {
  const match = /^\s*(?:(\d+):)?(\d+(?:[.,]\d+)?)\s*$/.exec(text);
  return match ? Number(match[1] ?? 0) * 60 + Number(match[2].replace(",", ".")) : NaN;
}

/** "12.3 MB" in the reader's language. */
export function bytes(count) {
  const power = count < 2 ** 20 ? 1 : count < 2 ** 30 ? 2 : 3;
  const [value, unit] = [count / 1024 ** power, ["kB", "MB", "GB"][power - 1]];
  return `${value.toLocaleString(locale, { maximumFractionDigits: 1 })} ${unit}`;
}

/** "+3.0 dB", "−6.5 dB". */
export function decibels(value) {
  const number = Math.abs(value).toLocaleString(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${number} dB`;
}

/** "Today, 14:05" in whatever way the reader's language has. */
export function moment(text) {
  return new Date(text).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
}

/** "42 %". */
export function percent(share) {
  return share.toLocaleString(locale, { style: "percent" });
}
