// The page: which view is open, and what all views share.

import { getLimits, getModels, onKeyWanted } from "./api.js";
import { helpDialog, keyDialog } from "./dialogs.js";
import { h, icon, toast } from "./dom.js";
import { exportDialog, requestExport } from "./export.js";
import { errorText, t, translatePage } from "./i18n.js";
import { listenToKeys } from "./keyboard.js";
import { ProjectList } from "./projects.js";
import { renderOffline } from "./render.js";
import { SongView } from "./song.js";
import { errorCard, UploadView } from "./upload.js";

const REFRESH_MS = 4000;

const main = document.getElementById("main");
const state = { view: null, models: [], limits: {} };
const projects = new ProjectList({ onDeleted: (id) => id === state.view?.id && (location.hash = "#/") });

function openSong(id) {
  const view = new SongView(id, { onStatus: (status) => projects.update(status) });
  state.view = view;
  main.replaceChildren(view.element);
}

function openStart() {
  document.title = "IsoMix Studio";
  const { models, limits } = state;
  const onUploaded = (answer) => (location.hash = `#/p/${answer.project_id}`);
  state.view = new UploadView({ models, limits, onUploaded });
  main.replaceChildren(state.view.element);
}

async function route() {
  await state.view?.close?.();
  const id = /^#\/p\/([\w-]+)$/.exec(location.hash)?.[1];
  projects.mark(id ?? null);
  document.getElementById("new-link").hidden = !id;
  if (id) openSong(id);
  else openStart();
}

function acceptDrops() {
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", event.dataTransfer.types.includes("Files"));
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dragging"));
  addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    const [file] = event.dataTransfer.files;
    if (!file) return;
    if (!(state.view instanceof UploadView)) {
      history.pushState(null, "", "#/");
      await route();
    }
    state.view.upload(file);
  });
}

const capitalise = (word) => word.charAt(0).toUpperCase() + word.slice(1);

function dressHeader() {
  const button = document.getElementById("help-button");
  button.append(icon("keyboard"));
  button.setAttribute("aria-label", t("help"));
  button.title = t("help");
  button.addEventListener("click", helpDialog);
  document.getElementById("new-link").append(icon("plus"), t("newSong"));
  const tier = document.getElementById("tier");
  tier.hidden = !state.limits.tier;
  tier.textContent = t("tier", { tier: capitalise(state.limits.tier ?? "") });
}

async function keepListFresh() {
  try {
    if (projects.busy) await projects.refresh();
  } catch (problem) {
    if (problem.status === 401) return; // no key was given: ask no more
  }
  setTimeout(keepListFresh, REFRESH_MS);
}

async function start() {
  translatePage();
  onKeyWanted(keyDialog);
  listenToKeys(() => {
    const { mixer = null, status } = state.view ?? {};
    return { mixer, help: helpDialog, exportMix: () => status?.status === "ready" && exportDialog(mixer) };
  });
  acceptDrops();
  try {
    state.limits = await getLimits();
    [state.models] = await Promise.all([getModels(), projects.refresh()]);
  } catch (problem) {
    main.replaceChildren(errorCard(problem), h("a", { href: "", class: "primary" }, t("reload")));
    return toast(errorText(problem).title);
  }
  dressHeader();
  addEventListener("hashchange", async () => {
    await route();
    main.focus({ preventScroll: true });
  });
  await route();
  document.documentElement.dataset.ready = "";
  setTimeout(keepListFresh, REFRESH_MS);
}

// What tests look at: the same parts that the page is made of.
window.isomixTest = {
  get view() {
    return state.view;
  },
  requestExport,
  renderOffline: (mix) => renderOffline(state.view.preview, mix ?? state.view.mixer.mix),
};

start();
