// What readings are called, in words. Pure: no DOM, no clock of its own.

export const EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

// An answer that has not come after this long will not come: the device has stopped waiting for it, too.
const ANSWER_EXPECTED_MS = 15_000;
const SILENT_AFTER_MS = 150_000;
const NO_DAY_NEEDED_MS = 12 * 3_600_000;

const HEARING = ["speech", "microphone"];

const NOT_ASKED = {
  "forbidden": "unsure; the site’s policy forbids asking the cloud",
  "over-budget": "unsure; the budget for asking the cloud was used up",
  "cloud-away": "unsure; the cloud was not there to ask",
};
const REFUSED_BECAUSE = {
  stale: "it came too late", busy: "the cloud was busy", empty: "there was nothing to judge",
  malformed: "the evidence was damaged", oversize: "the evidence was too large", failed: "the models failed",
};

/** What became of a reading: kept, corrected, confirmed, refused, waiting, unsure, or nothing. */
export function outcomeOf(reading, nowMs) {
  const verdict = reading.verdict;
  if (verdict?.status === "ok" && verdict.fused) {
    return verdict.fused.emotion === reading.fused?.emotion ? "confirmed" : "corrected";
  }
  if (verdict) return "refused";
  if (!reading.fused) return "nothing";
  if (reading.gate === "sure") return "kept";
  if (reading.gate === "requested" && nowMs - reading.received_at * 1000 < ANSWER_EXPECTED_MS) return "waiting";
  return "unsure";
}

/** The outcome as a sentence. */
export function outcomeText(reading, nowMs) {
  const was = reading.fused ? `${reading.fused.emotion} (${percent(reading.fused.confidence)})` : "nothing";
  switch (outcomeOf(reading, nowMs)) {
    case "confirmed": return `confirmed by the cloud; the device was at ${percent(reading.fused.confidence)}`;
    case "corrected": return `corrected by the cloud; the device said ${was}`;
    case "refused": return `the cloud refused: ${REFUSED_BECAUSE[reading.verdict.reason] ?? reading.verdict.reason}`;
    case "waiting": return "unsure; the cloud has been asked …";
    case "kept": return "sure enough: kept on the device";
    case "nothing": return "neither a face nor a voice";
    default: return NOT_ASKED[reading.gate] ?? "unsure; the cloud did not answer in time";
  }
}

/** True while the reading is a guess that nobody has backed. */
export function isUnsure(reading) {
  return reading.gate !== "sure" && !(reading.verdict?.status === "ok");
}

/** The cloud's distribution of a modality where it gave one, else the device's. */
export function bestOf(reading, name) {
  const judged = reading.verdict?.status === "ok" ? reading.verdict[name] : null;
  return judged ?? reading[name];
}

export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/** The time of day, with the day before it where that is not of the last hours. */
export function clock(seconds, nowMs) {
  const at = new Date(seconds * 1000);
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  if (nowMs - at < NO_DAY_NEEDED_MS) return time;
  return `${at.toLocaleDateString([], { day: "numeric", month: "short" })} ${time.slice(0, 5)}`;
}

export function ago(seconds, nowMs) {
  const passed = Math.max(0, Math.round(nowMs / 1000 - seconds));
  if (passed < 2) return "just now";
  if (passed < 90) return `${passed} s ago`;
  if (passed < 5400) return `${Math.round(passed / 60)} min ago`;
  if (passed < 129_600) return `${Math.round(passed / 3600)} h ago`;
  return `${Math.round(passed / 86_400)} days ago`;
}

/** State of a device: its key and its words. A device that is online but says nothing is not simply online. */
export function stateOf(device, nowMs) {
  const silent = nowMs - device.last_seen * 1000 > SILENT_AFTER_MS;
  switch (device.availability) {
    case "stopped": return ["stopped", "stopped"];
    case "lost": return ["lost", "lost: connection broken"];
    case "online": return silent ? ["lost", "silent"] : ["online", "online"];
    default: return silent ? ["lost", "silent"] : ["online", "sending"];
  }
}

/** What a device that sends no readings says of the people before it; empty where it sends readings. */
export function crowdText(device, nowMs) {
  const { aggregate } = device;
  if (aggregate) {
    const counts = Object.entries(aggregate.expressions ?? {}).sort((a, b) => b[1] - a[1]);
    const faces = counts.map(([emotion, count]) => `${emotion} ${count}`).join(", ");
    const present = aggregate.faces == null ? "too few faces to say" : `${aggregate.faces} faces`;
    return `Counts only, no readings. In the minute before ${clock(aggregate.received_at, nowMs)}, faces at a time: ${faces || present}.`;
  }
  if (device.readings.length) return "";
  if (device.birth?.mode === "classroom") return "This device sends counts over a minute, no readings; the next ones appear here.";
  if (device.birth?.mode === "off") return "Switched off by its policy: camera and microphone are closed.";
  return "No reading yet.";
}

/** The health line: rates, times, outbox; empty parts are left out. */
export function healthText(health) {
  if (!health) return "No health report yet.";
  const parts = [];
  for (const [name, source] of Object.entries(health.sources ?? {})) {
    const rate = `${source.rate.toFixed(1)} ${HEARING.includes(name) ? "s/s" : "fps"}`;
    const fault = source.error ? ` (${source.error})` : "";
    parts.push(`${name} ${source.state === "ok" ? rate : source.state + fault}`);
  }
  const reading = health.timings?.reading;
  if (reading) parts.push(`reading ${Math.round(reading.p50_ms)} ms, p95 ${Math.round(reading.p95_ms)} ms`);
  const dropped = health.outbox_dropped ? `, ${health.outbox_dropped} dropped` : "";
  parts.push(health.outbox_rows || dropped ? `outbox ${health.outbox_rows} waiting${dropped}` : "outbox empty");
  parts.push(`${Math.round(health.memory_mb)} MB`);
  if (health.temperature_c != null) parts.push(`${Math.round(health.temperature_c)} °C`);
  if (health.throttled) parts.push("throttled");
  return parts.join(" · ");
}
