// The list of the user's songs.

import { deleteProject, getProjects } from "./api.js";
import { confirmDialog } from "./dialogs.js";
import { announce, h, icon, toast } from "./dom.js";
import { moment, percent } from "./format.js";
import { errorText, t } from "./i18n.js";
import { forgetMix } from "./mix.js";

/** The list; `onDeleted(id)` is called after a song has gone. */
export class ProjectList {
  #list = document.getElementById("projects");
  #empty = document.getElementById("no-projects");
  #projects = [];
  #open = null;

  constructor({ onDeleted }) {
    this.onDeleted = onDeleted;
  }

  /** Ask the server which songs there are. */
  async refresh() {
    this.#projects = await getProjects();
    this.#show();
  }

  /** Take in what is newly known of one song. */
  update(status) {
    const index = this.#projects.findIndex((one) => one.project_id === status.project_id);
    if (index < 0) this.#projects.unshift(status);
    else this.#projects[index] = status;
    this.#show();
  }

  /** Mark the song that is open. */
  mark(id) {
    this.#open = id;
    this.#show();
  }

  /** Whether a song is still being separated. */
  get busy() {
    return this.#projects.some((one) => one.status === "pending" && one.project_id !== this.#open);
  }

  #show() {
    const focused = document.activeElement?.closest(".project")?.dataset.id;
    this.#list.replaceChildren(...this.#projects.map((project) => this.#item(project)));
    this.#empty.hidden = this.#projects.length > 0;
    if (focused) this.#list.querySelector(`[data-id="${CSS.escape(focused)}"] a`)?.focus();
  }

  #item(project) {
    const known = project.status === "pending" && project.progress !== undefined;
    const state = known ? percent(Math.round(project.progress * 100) / 100) : "";
    const link = h(
      "a",
      { href: `#/p/${project.project_id}`, "aria-current": project.project_id === this.#open ? "page" : null },
      h("span", { class: "project-name" }, project.name),
      h(
        "span",
        { class: "project-facts" },
        h("i", { class: "dot" }),
        `${t(`status_${project.status}`)} ${state}`.trim(),
      ),
      h("span", { class: "project-facts" }, moment(project.created_at)),
    );
    const label = t("deleteNamed", { name: project.name });
    const button = h(
      "button",
      {
        type: "button",
        class: "icon-button small",
        "aria-label": label,
        title: label,
        onclick: () => this.#delete(project),
      },
      icon("trash"),
    );
    return h("li", { class: `project ${project.status}`, "data-id": project.project_id }, link, button);
  }

  async #delete(project) {
    if (!(await confirmDialog(t("deleteTitle"), t("deleteText", { name: project.name }), t("delete")))) return;
    try {
      await deleteProject(project.project_id);
    } catch (problem) {
      if (problem.status !== 404) return toast(errorText(problem).title);
    }
    forgetMix(project.project_id);
    this.#projects = this.#projects.filter((one) => one.project_id !== project.project_id);
    this.#show();
    announce(t("deleted"));
    this.onDeleted(project.project_id);
  }
}
