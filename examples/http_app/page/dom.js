// Elements without a framework.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: `h("button", { class: "x", onclick: f, "aria-label": "y" }, "text", child)`. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const ICONS = {
  play: "M8 5.2v13.6a1 1 0 0 0 1.5.86l11-6.8a1 1 0 0 0 0-1.72l-11-6.8A1 1 0 0 0 8 5.2z",
  pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z",
  loop: "M17 2.5 21 6.5l-4 4v-3H7a2.5 2.5 0 0 0-2.5 2.5v1.5h-2V10A4.5 4.5 0 0 1 7 5.500h10zM7 21.500 3 17.500l4-4v3h10a2.500 2.500 0 0 0 2.500-2.500v-1.500h2V14a4.500 4.500 0 0 1-4.500 4.500H7z",
  start:
    "M6 5h2.4v14H6zM19 5.600v12.800a.8.8 0 0 1-1.250.66L9 12.660a.8.8 0 0 1 0-1.320l8.750-6.400A.8.8 0 0 1 19 5.600z",
  download: "M11 3h2v9.200l3.300-3.300 1.400 1.400L12 16l-5.700-5.700 1.400-1.400 3.300 3.300zM4 18h16v2.500H4z",
  upload: "M12 3.500 18 9.500l-1.500 1.500L13.100 7.600V16h-2.200V7.600L7.500 11 6 9.500zM4 18h16v2.500H4z",
  trash: "M9 3h6l1 2h4v2H4V5h4zM6 8.500h12L17 21H7zM10 11v7h1.500v-7zm2.500 0v7H14v-7z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  close:
    "M6.400 5 12 10.600 17.600 5 19 6.400 13.400 12l5.600 5.600-1.400 1.400L12 13.400 6.400 19 5 17.600l5.600-5.600L5 6.400z",
  keyboard:
    "M3 6h18a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1zm2 3v2h2V9zm4 0v2h2V9zm4 0v2h2V9zm4 0v2h2V9zM7 13.500v2h10v-2z",
};

/** Make one of the page's icons; it says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Show a message for a few seconds; it is read out at once. */
export function toast(text, kind = "error") {
  const note = h("p", { class: `toast ${kind}` }, text);
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), 9000);
}

/** Have a screen reader say something when it has time. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
