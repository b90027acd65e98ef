// A result on the page: everything together, then file by file with boxes, timeline and table.

import { drawFaces, facesText, frameAt } from "./overlay.js";
import { fillRows } from "./rows.js";
import { drawTimeline } from "./timeline.js";
import { percent } from "./words.js";

const SMALLEST_PX = 320;
const HIGHEST_PX = 480;
const NAMES = { face: "Expression", speech: "Vocal tone", text: "Words" };

/** Return the element of a result. `sources` are the blobs of the files, where this browser has them, in their order. */
export function showResult(analysis, sources) {
  const { result } = analysis;
  const element = copy("result-template");
  const slot = slots(element);
  for (const ending of ["json", "csv"]) slot(ending).href = `/api/analyses/${analysis.id}/result.${ending}`;
  showOverall(slot, result.overall);
  slot("legend").hidden = !result.parts.some((part) => part.windows?.some((window) => window.fused));
  result.parts.forEach((part, index) => slot("parts").append(part.kind === "text" ? textPart(part) : mediaPart(part, sources[index])));
  return element;
}

function showOverall(slot, overall) {
  if (!overall) {
    slot("overall").textContent = "Nothing was found that could be judged.";
    return;
  }
  const doubt = overall.unsure;
  const counted = Object.entries(overall.votes).map(([emotion, count]) => `${emotion} ${count}`).join(", ");
  slot("overall").append(
    tile("Weighted average", overall.weighted_average.emotion, overall.weighted_average.confidence, { doubt, final: true }),
    tile("Majority vote", overall.majority_vote, share(overall.votes, overall.majority_vote), { doubt, final: true, below: `votes: ${counted}` }),
    ...overall.modalities.map((one) => tile(NAMES[one.modality], one.distribution.emotion, one.distribution.confidence,
      { below: `${percent(one.distribution.confidence)} · weight ${one.weight.toFixed(2)}` })),
  );
  slot("explanation").textContent = "The average weighs each by how well it could be seen, heard or read; every picture’s face, "
    + `window and sentence has one vote. ${doubt ? "They differ, or most votes are unsure by themselves: do not build on it. " : ""}`
    + "How often either errs has not been measured.";
}

function share(votes, emotion) {
  return votes[emotion] / Object.values(votes).reduce((sum, count) => sum + count, 0);
}

function tile(title, emotion, confidence, { doubt = false, final = false, below = percent(confidence) }) {
  const element = document.createElement("section");
  element.className = final ? "tile final" : "tile";
  const heading = Object.assign(document.createElement("h3"), { textContent: title });
  const word = Object.assign(document.createElement("p"), { className: "word", textContent: `${emotion} ` });
  if (doubt) word.append(Object.assign(document.createElement("span"), { className: "unsure", textContent: "unsure" }));
  const bar = Object.assign(document.createElement("div"), { className: "bar" });
  const filled = bar.appendChild(document.createElement("span"));
  filled.dataset.emotion = emotion;
  filled.style.width = `${100 * confidence}%`;
  element.append(heading, word, bar, Object.assign(document.createElement("p"), { className: "share", textContent: below }));
  return element;
}

function textPart(part) {
  const element = copy("part-template");
  const slot = slots(element);
  const { text } = part;
  slot("name").textContent = "The text";
  slot("notes").textContent = `${text.label} ${percent(text.confidence)}${text.unsure ? " (unsure)" : ""} · polarity ${text.polarity.compound.toFixed(2)} of −1 to 1 (VADER)`;
  for (const sentence of text.parts) {
    const line = Object.assign(document.createElement("p"), { className: "sentence" });
    const mark = Object.assign(document.createElement("span"), { className: "mark-word" });
    const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
    swatch.dataset.emotion = sentence.label;
    mark.append(swatch, `${sentence.label} ${percent(sentence.confidence)}`);
    line.append(mark, ` ${sentence.text}`);
    slot("faces").before(line);
  }
  slot("details").hidden = true;
  return element;
}

function mediaPart(part, blob) {
  const element = copy("part-template");
  const slot = slots(element);
  const seconds = part.kind === "image" ? `${part.width} × ${part.height}` : `${part.duration_s.toFixed(1)} s`;
  slot("name").textContent = `${part.name} (${part.kind}, ${seconds})`;
  slot("notes").textContent = part.notes.join(" ");
  const stage = new Stage(part, slot);
  stage.fill(blob);
  if (part.windows.some((window) => window.fused)) {
    const chart = slot("chart");
    chart.hidden = false;
    // After the element has a place in the page, and so a width.
    requestAnimationFrame(() => drawTimeline(chart, part, (timeS) => stage.seek(timeS)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawTimeline(chart, part, (timeS) => stage.seek(timeS)));
  }
  fillTable(slot("details"), part);
  return element;
}

/** The picture or film with its boxes; an empty one where the browser does not have or cannot play it. */
class Stage {
  constructor(part, slot) {
    [this.part, this.slot, this.element] = [part, slot, slot("stage")];
    this.canvas = this.element.querySelector("canvas");
    this.media = null;
    this.timeS = 0;
    new ResizeObserver(() => this.draw()).observe(this.element);
    const range = slot("scrub").querySelector("input");
    range.max = part.duration_s.toFixed(1);
    range.addEventListener("input", () => this.seek(Number(range.value)));
  }

  fill(blob) {
    if (!blob) {
      this.blank("The file is not at hand any more: it was deleted after the analysis.");
      return;
    }
    const tag = { image: "img", audio: "audio", video: "video" }[this.part.kind];
    const media = document.createElement(tag);
    if (tag !== "img") media.controls = true;
    if (tag === "video") this.hold(media);
    if (tag === "img") media.alt = facesText(this.part.frames[0].faces);
    media.addEventListener("error", () => this.blank("This browser cannot play this kind of file."));
    media.addEventListener(tag === "img" ? "load" : "loadeddata", () => this.draw());
    for (const event of ["timeupdate", "seeked"]) media.addEventListener(event, () => this.show(media.currentTime));
    media.addEventListener("play", () => this.follow());
    media.src = URL.createObjectURL(blob);
    this.media = media;
    this.element.classList.toggle("sound", tag === "audio");
    this.element.prepend(media);
    this.element.hidden = false;
    this.show(0);
  }

  /** Give a film its place before it has loaded. */
  hold(media) {
    const { width = 4, height = 3 } = this.part;
    media.style.aspectRatio = `${width} / ${height}`;
    media.style.width = `${Math.min(Math.max(width, SMALLEST_PX), HIGHEST_PX * width / height)}px`;
  }

  blank(why) {
    this.media?.remove();
    this.media = null;
    const hasBoxes = this.part.frames.some((frame) => frame.faces.length);
    const note = this.slot("notes");
    note.textContent = `${note.textContent} ${why}${hasBoxes ? " Its boxes are shown on an empty frame." : ""}`.trim();
    if (!hasBoxes) {
      this.element.hidden = true;
      return;
    }
    this.element.classList.add("blank");
    this.element.style.aspectRatio = `${this.part.width ?? 4} / ${this.part.height ?? 3}`;
    this.element.hidden = false;
    this.slot("scrub").hidden = this.part.kind === "image";
    this.show(0);
  }

  seek(timeS) {
    if (this.media && "currentTime" in this.media) this.media.currentTime = timeS;
    else this.show(timeS);
  }

  /** Boxes move with every frame that is shown, not four times a second as `timeupdate` would have it. */
  follow() {
    if (!this.media || this.media.paused) return;
    this.show(this.media.currentTime);
    requestAnimationFrame(() => this.follow());
  }

  show(timeS) {
    this.timeS = timeS;
    const scrub = this.slot("scrub");
    scrub.querySelector("output").textContent = timeS.toFixed(1);
    scrub.querySelector("input").value = timeS;
    this.draw();
  }

  draw() {
    if (!this.part.frames.length) return;
    const faces = (this.part.kind === "image" ? this.part.frames[0] : frameAt(this.part.frames, this.timeS))?.faces ?? [];
    drawFaces(this.canvas, faces);
    this.slot("faces").textContent = facesText(faces);
  }
}

function fillTable(details, part) {
  const said = (one) => (one ? `${one.emotion} ${percent(one.confidence)}` : "–");
  const [head, body] = [details.querySelector("thead tr"), details.querySelector("tbody")];
  const columns = part.kind === "image"
    ? ["Face", "Expression", "Unsure", "Quality"]
    : ["Seconds", "Faces", "Expression", "Vocal tone", "Together", "Unsure", "Voice"];
  head.append(...columns.map((text) => Object.assign(document.createElement("th"), { scope: "col", textContent: text })));
  const rows = part.kind === "image"
    ? part.frames[0].faces.map((face) => [face.face, said(face.expression), face.unsure ? "unsure" : "", percent(face.quality)])
    : part.windows.map((one) => [`${one.start_s.toFixed(1)}–${one.end_s.toFixed(1)}`, one.faces, said(one.face), said(one.speech),
      said(one.fused), one.unsure ? "unsure" : "", one.voiced_share == null ? "no sound" : percent(one.voiced_share)]);
  fillRows(body, rows.map((row) => row.map(String)), "Nothing was found.");
}

function copy(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

function slots(element) {
  const found = Object.fromEntries([...element.querySelectorAll("[data-slot]")].map((one) => [one.dataset.slot, one]));
  return (name) => found[name];
}
