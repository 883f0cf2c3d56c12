// The server, as the page sees it: one door for requests, keys and refusals.

const KEY = "isomix.key";

let askForKey = async () => null;
let asking = null;

/** A refusal of the server, made of its problem document. */
export class Problem extends Error {
  constructor(status, body = {}) {
    super(body.detail ?? body.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? (status === 0 ? "network" : "unknown");
    this.hint = body.hint ?? "";
    this.facts = body;
  }
}

/** Say how the page asks its user for a key: an async function that gives one or null. */
export function onKeyWanted(ask) {
  askForKey = ask;
}

/** Ask for a key and keep it for this tab; false if none was given. */
export async function renewKey() {
  asking ??= askForKey().finally(() => (asking = null)); // however many requests were refused, one question
  const key = await asking;
  if (key) sessionStorage.setItem(KEY, key);
  return Boolean(key);
}

/** Headers that say who asks. */
export function keyHeaders() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** An address for what cannot send headers: sockets and links. */
export function withKey(path) {
  const key = sessionStorage.getItem(KEY);
  return key ? `${path}${path.includes("?") ? "&" : "?"}key=${encodeURIComponent(key)}` : path;
}

/** Make the problem of an answer's text. */
export function problemOf(status, text) {
  try {
    return new Problem(status, JSON.parse(text));
  } catch {
    return new Problem(status);
  }
}

async function send(path, { json, ...options }) {
  const headers = { ...keyHeaders(), ...(json ? { "Content-Type": "application/json" } : {}) };
  const body = json ? JSON.stringify(json) : undefined;
  try {
    return await fetch(path, { ...options, headers, body });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: error.message });
  }
}

/** Ask the server; the answer, or a Problem is thrown. A 401 asks the user for a key first. */
export async function request(path, options = {}) {
  const answer = await send(path, options);
  if (answer.ok) return answer;
  if (answer.status === 401 && (await renewKey())) return request(path, options);
  throw problemOf(answer.status, await answer.text());
}

/** Ask the server for JSON. */
export async function requestJson(path, options = {}) {
  return (await request(path, options)).json();
}

export const getProjects = async () => (await requestJson("projects?limit=100")).projects;
export const getModels = () => requestJson("models");
export const getLimits = () => requestJson("limits");
export const getStatus = (id) => requestJson(`status/${id}`, { cache: "no-store" });
export const getPreview = (id) => requestJson(`projects/${id}/preview`, { cache: "no-store" });
export const cancelProject = (id) => requestJson(`cancel/${id}`, { method: "POST" });
export const deleteProject = (id) => request(`projects/${id}`, { method: "DELETE" });
export const reseparate = (id, model) => requestJson(`reseparate/${id}`, { method: "POST", json: { model } });
