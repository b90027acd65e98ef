// History in words and numbers, for everybody who does not see the charts. Pure.

import { EMOTIONS, percent } from "./words.js";
import { moment } from "./rows.js";

const number = (value) => value.toLocaleString();
const ms = (value) => (value == null ? "–" : `${Math.round(value)} ms`);
const share = (part, whole) => (whole ? percent(part / whole) : "–");

/** The emotions with their means, the strongest first. */
function ranked(emotions, index) {
  const pairs = EMOTIONS.map((name) => [name, index == null ? emotions[name] : emotions[name][index]]);
  return pairs.filter(([, value]) => value != null).sort((a, b) => b[1] - a[1]);
}

/** Tile -> text and what stands small behind it. */
export function tilesOf(totals) {
  const [most] = ranked(totals.emotions);
  return {
    n: [number(totals.n), totals.n ? `${share(totals.perceived, totals.n)} with somebody` : ""],
    most: most ? [most[0], percent(most[1])] : ["–", ""],
    confidence: [totals.confidence == null ? "–" : percent(totals.confidence), ""],
    sure: [share(totals.sure, totals.perceived), ""],
    asked: [share(totals.asked, totals.perceived), totals.asked ? `${number(totals.asked)} times` : ""],
    agreed: [share(totals.agreed, totals.compared), totals.compared ? `of ${number(totals.compared)} answers` : ""],
  };
}

/** The chart in one sentence. */
export function perceptionText({ step, totals }) {
  const shares = ranked(totals.emotions).filter(([, value]) => value >= 0.05);
  const what = shares.length ? shares.map(([name, value]) => `${name} ${percent(value)}`).join(", ") : "nobody was there";
  return `${number(totals.n)} ${totals.n === 1 ? "reading" : "readings"}, ${stepText(step)}. Mean: ${what}.`;
}

function stepText(step) {
  if (step === 0) return "each drawn by itself";
  const [size, unit] = step % 86_400 === 0 ? [step / 86_400, "day"] : step % 3600 === 0 ? [step / 3600, "hour"] : [step / 60, "minute"];
  return `in steps of ${size} ${unit}${size === 1 ? "" : "s"}`;
}

export function cascadeText(totals) {
  const unsure = totals.perceived - totals.sure - totals.answered;
  return `Of what was perceived, the device was sure of ${share(totals.sure, totals.perceived)} and asked the cloud about `
    + `${share(totals.asked, totals.perceived)}; ${share(Math.max(0, unsure), totals.perceived)} stayed unsure. The cloud answered `
    + `${number(totals.answered)} times (on average within ${ms(totals.answer_ms)}), refused ${number(totals.refused)} times, `
    + `and said the same as the device in ${share(totals.agreed, totals.compared)}.`;
}

const largest = (values) => values.reduce((most, value) => (value != null && !(most > value) ? value : most), null);

export function latencyText(health) {
  const verdict = largest(health.verdict_p95_ms);
  return `Reading ready after its window: p95 at most ${ms(largest(health.reading_p95_ms))}. `
    + (verdict == null ? "No verdict was waited for." : `Verdict after the request: p95 at most ${ms(verdict)}.`);
}

export function healthSummary(health) {
  const hot = largest(health.temperature_c);
  const down = health.down.filter((count) => count > 0).length;
  const parts = [hot == null ? "No temperature is reported" : `Warmest ${Math.round(hot)} °C`];
  parts.push(down ? `a camera or microphone was down at ${down} of ${health.at.length} points of the chart` : "no camera or microphone was down");
  parts.push(`at most ${number(largest(health.outbox_rows) ?? 0)} messages waited on a device`);
  return `${parts.join("; ")}.`;
}

/** Rows of the table, oldest first. */
export function rowsOf({ perception: p }) {
  return p.at.map((at, i) => {
    const [most] = p.perceived[i] ? ranked(p.emotions, i) : [];
    return [
      moment(at), number(p.n[i]), most ? `${most[0]} ${percent(most[1])}` : "nobody",
      p.confidence[i] == null ? "–" : percent(p.confidence[i]), share(p.sure[i], p.perceived[i]),
      share(p.asked[i], p.perceived[i]), share(p.agreed[i], p.compared[i]),
    ];
  });
}

export function crowdRow(totals) {
  const counts = ranked(totals.emotions).filter(([, value]) => value > 0);
  const presence = `no expressions; ${totals.faces?.toFixed(1) ?? "–"} faces, ${totals.voiced?.toFixed(1) ?? "–"} windows with a voice`;
  const text = counts.length ? counts.map(([name, value]) => `${name} ${value.toFixed(1)}`).join(", ") : presence;
  return [number(totals.n), number(totals.suppressed), text];
}
