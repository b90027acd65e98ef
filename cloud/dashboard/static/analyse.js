// The page that analyses: choose or record, send with progress, wait, show; and the list of what was analysed.

import { call, currentSession, sentence } from "./api.js";
import { fillChosen, offerRecording } from "./recorder.js";
import { showResult } from "./result.js";
import { button, fillRows, moment } from "./rows.js";

const POLL_MS = 500;
const CANCELLED = "Cancelled; nothing of it is left.";
const page = Object.fromEntries(["analyse-form", "files", "drop", "chosen", "problem", "working", "working-title", "working-text", "bar", "cancel", "result", "list"].map(
  (id) => [id, document.getElementById(id)],
));
const form = page["analyse-form"];
const most = { bytes: Number(form.dataset.maxBytes), seconds: Number(form.dataset.maxSeconds), files: Number(form.dataset.maxFiles) };
let files = [];
let cancel = () => {};

function complain(text) {
  page.problem.textContent = text;
  page.problem.hidden = !text;
}

/** Why the chosen files cannot be sent; empty if they can. */
function tooMuch() {
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (files.length > most.files) return `${most.files} files are the most at a time; take ${files.length - most.files} out.`;
  if (size > most.bytes) return `The files have ${(size / 1e6).toFixed(0)} MB together; ${most.bytes / 1e6} MB are the most.`;
  return "";
}

function choose(more) {
  files = [...files, ...more];
  complain(tooMuch());
  fillChosen(page.chosen, files, (file) => { files = files.filter((one) => one !== file); choose([]); page.files.focus(); });
}

/** Send the form, with progress, which fetch does not tell of. */
function send(body, csrf, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/analyses");
    request.setRequestHeader("X-CSRF-Token", csrf ?? "");
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status < 300) resolve(request.response);
      else reject(new Error(sentence(request.response, request.status)));
    };
    request.onerror = () => reject(new Error("The service broke off the upload. Is the file too large, or are you offline?"));
    request.onabort = () => reject(new Error(CANCELLED));
    cancel = () => request.abort();
    request.send(body);
  });
}

function work(text, share) {
  page.working.hidden = false;
  page["working-text"].textContent = text;
  if (share === null) page.bar.removeAttribute("value"); else page.bar.value = share;
}

async function analyse() {
  const fields = new FormData(form);
  const body = new FormData();
  for (const name of ["site", "keep_days", "text"]) if (fields.get(name)) body.append(name, fields.get(name));
  for (const file of files) body.append("file", file, file.name);
  if (!files.length && !String(fields.get("text")).trim()) throw new Error("Choose or record a file, or type a text.");
  if (tooMuch()) throw new Error(tooMuch());
  work("Sending …", 0);
  page["working-title"].focus();
  const sent = files;
  const { csrf } = await currentSession();
  const begun = await send(body, csrf, (share) => (share < 1 ? work(`Sending: ${Math.round(100 * share)} %`, share) : work("Looking at what it is …", null)));
  await finish(begun, sent);
  files = [];
  choose([]);
  form.reset();
}

/** Wait for an analysis, say how far it is, and show it. */
async function finish(begun, sources) {
  let [view, cancelled] = [begun, false];
  cancel = () => { cancelled = true; };
  showList();
  while (view.state === "waiting" || view.state === "running") {
    work(view.state === "waiting" ? "Waiting for its turn …" : `Analysing: ${Math.round(100 * view.progress)} %`, view.progress);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (cancelled) {
      await call("DELETE", `/api/analyses/${view.id}`);
      throw new Error(CANCELLED);
    }
    view = await call("GET", `/api/analyses/${view.id}`);
  }
  if (view.state === "failed") throw new Error(view.error);
  show(view, sources);
}

function show(view, sources) {
  page.result.replaceChildren(showResult(view, sources));
  page.result.hidden = false;
  page.result.querySelector("h2").focus();
}

async function open(id) {
  let view = await call("GET", `/api/analyses/${id}`);
  if (view.state !== "done") {
    await guarded(() => finish(view, []));
    return;
  }
  const kept = Array.from({ length: view.kept_files }, (_, number) => fetch(`/api/analyses/${id}/files/${number}`).then((answer) => answer.blob()));
  show(view, await Promise.all(kept));
}

async function showList() {
  const { analyses } = await call("GET", "/api/analyses");
  fillRows(page.list, analyses.map((one) => [
    moment(one.created_at), one.kinds.join(", "), one.state === "failed" ? `failed: ${one.error}` : one.state,
    keptText(one), actions(one),
  ]), "None yet.");
}

function keptText({ expires_at: until, kept_files: files, kinds }) {
  if (files) return `${moment(until)}, with ${files === 1 ? "the file" : "the files"}`;
  return kinds.some((kind) => kind !== "text") ? `${moment(until)}; no files` : moment(until);
}

function actions(one) {
  const element = Object.assign(document.createElement("div"), { className: "actions" });
  if (one.state !== "failed") element.append(button("Open", () => guarded(() => open(one.id))));
  element.append(button("Delete", () => guarded(async () => {
    await call("DELETE", `/api/analyses/${one.id}`);
    page.result.hidden = true;
  })));
  return element;
}

async function guarded(act) {
  complain("");
  try {
    await act();
  } catch (error) {
    complain(error.message);
    page.problem.scrollIntoView({ block: "center" });
  } finally {
    page.working.hidden = true;
    await showList().catch((error) => complain(error.message));
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const send = form.querySelector("button.primary:not([type=button])");
  send.disabled = true;
  await guarded(analyse);
  send.disabled = false;
});
page.files.addEventListener("change", () => { choose(page.files.files); page.files.value = ""; });
page.cancel.addEventListener("click", () => cancel());
for (const [kind, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  page.drop.addEventListener(kind, (event) => {
    event.preventDefault();
    page.drop.classList.toggle("over", over);
    if (kind === "drop") choose(event.dataTransfer.files);
  });
}
offerRecording(form, (file) => choose([file]), complain, most.seconds);
guarded(async () => {});
