// One device's card: made from the template once, then only its texts, bars and rows change.

import { draw, roomFor } from "./chart.js";
import { ago, bestOf, clock, crowdText, healthText, isUnsure, outcomeOf, outcomeText, percent, stateOf } from "./words.js";

const TABLE_ROWS = 20;
const ABSENT = { face: "no face", speech: "no voice", final: "nothing" };

export class Card {
  constructor(template) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.slots = {};
    for (const slot of this.element.querySelectorAll("[data-slot]")) this.slots[slot.dataset.slot] = slot;
  }

  /** Show all that is known of the device. */
  show(device, nowMs) {
    const latest = device.readings.at(-1);
    this.#text("site", device.site);
    this.#text("device", device.name);
    this.#text("about", aboutText(device.birth));
    this.tick(device, nowMs);
    this.waiting = waitingIn(device, nowMs);
    if (latest) this.#showNow(latest, nowMs);
    this.#text("tally", tallyText(device.readings, nowMs));
    this.#text("health", healthLine(device, nowMs));
    this.#text("crowd", crowdText(device, nowMs));
    this.#showRows(device.readings.slice(-TABLE_ROWS).reverse(), nowMs);
    this.element.classList.toggle("no-readings", !latest);
    if (!latest) return;
    const drawn = device.readings.slice(-roomFor(this.slots.chart));
    this.#text("caption", captionText(drawn, nowMs));
    draw(this.slots.chart, drawn, nowMs);
  }

  /** Show what changes by time alone. */
  tick(device, nowMs) {
    const [state, words] = stateOf(device, nowMs);
    this.slots.state.dataset.state = state;
    this.#text("state", words);
    this.#text("seen", `last heard ${ago(device.last_seen, nowMs)}`);
    const latest = device.readings.at(-1);
    if (latest) this.#text("outcome", outcomeText(latest, nowMs));
    this.element.classList.toggle("old", state !== "online");
    this.#text("final-title", state === "online" ? "Together" : `Together, last known at ${clock(latest?.at ?? 0, nowMs)}`);
  }

  /** Whether time alone has made a waiting reading an unanswered one since the last `show`. */
  isOutdated(device, nowMs) {
    return waitingIn(device, nowMs) !== this.waiting;
  }

  #showNow(reading, nowMs) {
    const unsure = isUnsure(reading);
    const faces = reading.faces === 1 ? "1 face" : `${reading.faces} faces`;
    this.#tile("final", reading.final, unsure, "");
    this.#tile("face", bestOf(reading, "face"), unsure, reading.face ? faces : "");
    this.#tile("speech", bestOf(reading, "speech"), unsure, "");
    this.slots.outcome.dataset.outcome = outcomeOf(reading, nowMs);
  }

  #tile(name, distribution, unsure, more) {
    this.#text(`${name}-word`, distribution ? distribution.emotion : ABSENT[name]);
    this.slots[`${name}-word`].classList.toggle("absent", !distribution);
    this.slots[`${name}-unsure`].hidden = !(distribution && unsure);
    const bar = this.slots[`${name}-bar`];
    bar.style.width = distribution ? percent(distribution.confidence).replace(" ", "") : "0";
    bar.dataset.emotion = distribution?.emotion ?? "";
    const share = distribution ? `${percent(distribution.confidence)} confidence` : "";
    this.#text(`${name}-share`, [share, more].filter(Boolean).join(" · "));
  }

  #showRows(readings, nowMs) {
    this.slots.rows.replaceChildren(...readings.map((reading) => {
      const row = document.createElement("tr");
      row.dataset.outcome = outcomeOf(reading, nowMs);
      const cells = [clock(reading.at, nowMs), short(bestOf(reading, "face")), short(bestOf(reading, "speech")),
        short(reading.fused), short(reading.final), outcomeText(reading, nowMs)];
      for (const text of cells) row.insertCell().textContent = text;
      return row;
    }));
  }

  #text(name, text) {
    if (this.slots[name].textContent !== text) this.slots[name].textContent = text;
  }
}

function short(distribution) {
  return distribution ? `${distribution.emotion} ${percent(distribution.confidence)}` : "–";
}

function aboutText(birth) {
  if (!birth) return "";
  const sources = Object.entries(birth.sources).map(([name, kind]) => `${name}: ${kind}`);
  return [`${birth.mode} mode`, ...sources, `software ${birth.software}`].join(" · ");
}

function tallyText(readings, nowMs) {
  const counts = {};
  for (const reading of readings) {
    const outcome = outcomeOf(reading, nowMs);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  const words = {
    kept: "kept on the device", corrected: "corrected by the cloud", confirmed: "confirmed by the cloud",
    refused: "refused by the cloud", waiting: "being asked about", unsure: "left unsure", nothing: "with nobody there",
  };
  return Object.keys(words).filter((name) => counts[name]).map((name) => `${counts[name]} ${words[name]}`).join(" · ");
}

function healthLine(device, nowMs) {
  const event = device.event ? ` · ${device.event.type} at ${clock(device.event.ts, nowMs)}: ${device.event.text}` : "";
  return healthText(device.health) + event;
}

function waitingIn(device, nowMs) {
  return device.readings.filter((reading) => outcomeOf(reading, nowMs) === "waiting").length;
}

function captionText(readings, nowMs) {
  if (readings.length === 1) return "The only reading so far";
  return `The last ${readings.length} readings, ${clock(readings[0].at, nowMs)} to ${clock(readings.at(-1).at, nowMs)}`;
}
