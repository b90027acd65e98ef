// History: choose, fetch, draw. What is chosen stands in the address, so that it can be kept and sent on.

import { call } from "./api.js";
import { commandButton } from "./commands.js";
import { drawCascade, drawCrowd, drawHealth, drawLatency, drawPerception } from "./history-charts.js";
import { cascadeText, crowdRow, healthSummary, latencyText, perceptionText, rowsOf, tilesOf } from "./history-words.js";
import { fillRows } from "./rows.js";
import { ago, healthText, stateOf } from "./words.js";

const MOST_ROWS = 500;
const MIN_SPAN_S = 60;
const byId = (id) => document.getElementById(id);
const form = byId("choose");
const shown = byId("shown");
const mayRead = byId("perception") !== null;
let devices = [];
let asked = 0;
let settings = fromAddress();

function fromAddress() {
  const query = new URLSearchParams(location.search);
  const now = Date.now() / 1000;
  const until = Number(query.get("until")) || null;
  const span = Number(query.get("span")) || 86_400;
  return {
    site: query.get("site") ?? "", device: query.get("device") ?? "", resolution: query.get("resolution") ?? "auto",
    span, until, from: (until ?? now) - span,
  };
}

/** The period in Unix seconds: with `until` null it ends now, whenever that is. */
function period() {
  const until = settings.until ?? Date.now() / 1000;
  return [until - settings.span, until];
}

function show(changes) {
  settings = { ...settings, ...changes };
  const { site, device, resolution, span, until } = settings;
  const query = new URLSearchParams({ site, device, resolution, span: Math.round(span) });
  if (until) query.set("until", Math.round(until));
  history.replaceState(null, "", `?${query}`);
  fillForm();
  load();
}

function localText(seconds) {
  const at = new Date(seconds * 1000);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function options(select, values, all, chosen) {
  const items = [["", all], ...values.map((value) => [value, value])];
  select.replaceChildren(...items.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

function fillForm() {
  const sites = [...new Set(devices.map((one) => one.site))];
  options(form.elements.site, sites, "all", settings.site);
  const here = devices.filter((one) => !settings.site || one.site === settings.site).map((one) => one.device);
  options(form.elements.device, [...new Set(here)], "all", settings.device);
  const [from, until] = period();
  form.elements.from.value = localText(from);
  form.elements.until.value = localText(until);
  form.elements.resolution.value = settings.resolution;
  for (const button of form.querySelectorAll("[data-span]")) {
    button.setAttribute("aria-pressed", !settings.until && Number(button.dataset.span) === settings.span);
  }
}

function say(state, text) {
  byId("status").dataset.state = state;
  byId("status").textContent = text;
  document.body.classList.toggle("busy", state === "connecting");
}

async function load() {
  const turn = ++asked;
  say("connecting", "Loading …");
  const [from, until] = period();
  const place = Object.entries({ site: settings.site, device: settings.device }).filter(([, value]) => value);
  const query = new URLSearchParams([...place, ["from", from], ["until", until]]);
  try {
    const [health, perceived, list] = await Promise.all([
      call("GET", `/api/history/health?${query}`),
      mayRead ? call("GET", `/api/history?${query}&resolution=${settings.resolution}`) : null,
      call("GET", "/api/devices"),
    ]);
    if (turn !== asked) return;
    devices = list.devices;
    fillForm();
    fillDevices();
    await render(health, perceived);
    byId("problem").hidden = true;
    say("open", "Up to date");
  } catch (error) {
    if (turn !== asked) return;
    byId("problem").querySelector("p").textContent = error.message;
    byId("problem").hidden = false;
    byId("empty").hidden = shown.hidden = true;
    say("closed", "Not loaded");
  }
}

async function render(health, perceived) {
  const has = {
    perception: Boolean(perceived?.perception.at.length), crowd: Boolean(perceived?.crowd.at.length),
    health: Boolean(health.health.at.length),
  };
  byId("empty").hidden = has.perception || has.crowd || has.health;
  shown.hidden = !byId("empty").hidden;
  byId("latency").hidden = byId("health").hidden = !has.health;
  const range = [health.from, health.until];
  const draws = [];
  if (mayRead) {
    byId("tiles").hidden = byId("perception").hidden = byId("cascade").hidden = !has.perception;
    byId("crowd").hidden = !has.crowd;
    if (has.perception) draws.push(...renderPerception(perceived, range));
    if (has.crowd) {
      fillRows(byId("crowd-rows"), [crowdRow(perceived.crowd_totals)], "");
      draws.push(drawCrowd(byId("crowd-plot"), perceived, range, zoomTo));
    }
  }
  if (has.health) {
    byId("latency-caption").textContent = latencyText(health.health);
    byId("health-caption").textContent = healthSummary(health.health);
    draws.push(drawLatency(byId("latency-plot"), health, range, zoomTo));
    draws.push(drawHealth(byId("health-plot"), health, range, zoomTo));
  }
  await Promise.all(draws);
}

function renderPerception(answer, range) {
  for (const [name, [text, detail]] of Object.entries(tilesOf(answer.totals))) {
    const tile = document.querySelector(`[data-tile="${name}"]`);
    const small = document.createElement("small");
    small.textContent = detail ? ` ${detail}` : "";
    tile.replaceChildren(text, small);
  }
  byId("caption").textContent = perceptionText(answer);
  byId("cascade-caption").textContent = cascadeText(answer.totals);
  fillRows(byId("rows"), rowsOf(answer).slice(-MOST_ROWS).reverse(), "Nothing.");
  return [
    drawPerception(byId("perception-plot"), answer, range, zoomTo),
    drawCascade(byId("cascade-plot"), answer, range, zoomTo),
  ];
}

function fillDevices() {
  const now = Date.now();
  const rows = devices.map((one) => {
    const link = document.createElement("a");
    link.href = `?site=${one.site}&device=${one.device}&span=${settings.span}`;
    link.textContent = one.device;
    const [key, text] = stateOf(one, now);
    const state = Object.assign(document.createElement("span"), { className: "state", textContent: text });
    state.dataset.state = key;
    const told = [ago(one.last_seen, now), one.birth?.mode ?? "unknown", healthText(one.health)];
    return [one.site, link, state, ...commandButton(one), ...told];
  });
  fillRows(byId("devices"), rows, "No device has reported yet.");
}

function zoomTo(from, until) {
  show({ span: Math.max(MIN_SPAN_S, until - from), until });
}

form.addEventListener("change", () => {
  const { site, device, from, until, resolution } = Object.fromEntries(new FormData(form));
  const changes = { site, device: site === settings.site ? device : "", resolution };
  const [start, end] = [new Date(from) / 1000, new Date(until) / 1000];
  const [wasStart, wasEnd] = period().map(localText);
  if ((from !== wasStart || until !== wasEnd) && end > start) Object.assign(changes, { span: end - start, until: end });
  show(changes);
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("click", ({ target }) => {
  const { span, move, zoom } = target.dataset;
  const [from, until] = period();
  const now = Date.now() / 1000;
  if (span) show({ span: Number(span), until: null });
  if (move) {
    const end = until + Number(move) * settings.span / 2;
    show({ until: end >= now ? null : end });
  }
  if (zoom) {
    const wide = Math.max(MIN_SPAN_S, settings.span * Number(zoom));
    const end = (from + until) / 2 + wide / 2;
    show({ span: wide, until: end >= now ? null : end });
  }
});
byId("again").addEventListener("click", load);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", load);

show({});
