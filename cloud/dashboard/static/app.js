// The live page: what comes in goes into the state, and what changed is drawn once a frame.

import { Card } from "./card.js";
import { connect } from "./connection.js";
import { State } from "./state.js";
import { isUnsure, percent } from "./words.js";

const ANNOUNCE_EVERY_MS = 5_000;

const state = new State();
const cards = new Map();
const changed = new Set();
const page = Object.fromEntries(["link", "empty", "legend", "devices", "announcer", "device-card"].map(
  (id) => [id, document.getElementById(id)],
));
let drawing = false;
let announcedAt = 0;

function touch(keys) {
  for (const key of keys) changed.add(key);
  if (drawing) return;
  drawing = true;
  // A hidden tab gets no frames, but its title and its table should be right when it is shown again.
  if (document.hidden) setTimeout(render); else requestAnimationFrame(render);
}

function render() {
  drawing = false;
  for (const key of changed) {
    if (!cards.has(key)) addCard(key);
    cards.get(key).show(state.devices.get(key), Date.now());
  }
  announce(changed);
  changed.clear();
  page.empty.hidden = state.devices.size > 0;
  page.legend.hidden = state.devices.size === 0;
}

function addCard(key) {
  const card = new Card(page["device-card"]);
  card.element.dataset.key = key;
  card.element.setAttribute("aria-label", key);
  const after = [...page.devices.children].find((element) => element.dataset.key > key);
  page.devices.insertBefore(card.element, after ?? null);
  cards.set(key, card);
}

/** Tell a screen reader of a new word, but not more often than it can be read out. */
function announce(keys) {
  const now = Date.now();
  for (const key of keys) {
    const device = state.devices.get(key);
    const latest = device.readings.at(-1);
    if (!latest?.final || device.announced === latest.final.emotion || now - announcedAt < ANNOUNCE_EVERY_MS) continue;
    device.announced = latest.final.emotion;
    announcedAt = now;
    const doubt = isUnsure(latest) ? ", unsure" : "";
    page.announcer.textContent = `${device.name}: ${latest.final.emotion}, ${percent(latest.final.confidence)}${doubt}`;
  }
}

function showLink(name, text) {
  page.link.dataset.state = name;
  page.link.textContent = text;
  document.body.classList.toggle("away", name === "closed");
}

connect({
  open() {
    showLink("open", "Connected");
    touch(state.devices.keys());
    if (!state.devices.size) render();
  },
  lists({ devices, readings }) {
    state.mergeDevices(devices);
    state.mergeReadings(readings);
  },
  message(message) {
    touch([state.mergeMessage(message)]);
  },
  closed(waitMs) {
    showLink("closed", `Connection lost: what you see is old. Trying again in ${Math.ceil(waitMs / 1000)} s …`);
  },
});

setInterval(() => {
  const now = Date.now();
  for (const [key, card] of cards) {
    const device = state.devices.get(key);
    if (card.isOutdated(device, now)) touch([key]); else card.tick(device, now);
  }
}, 1_000);

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => touch(state.devices.keys()));
