// What the page knows: devices and their last readings, merged from the lists and the live messages. Pure.
// Messages come twice, late and out of order; merging the same one again changes nothing.

export const KEPT_READINGS = 90;
const LAST_STATES = ["birth", "health", "event"];

export class State {
  constructor() {
    this.devices = new Map();
  }

  /** Take in the answer of /api/devices. */
  mergeDevices(list) {
    for (const view of list) {
      const device = this.#device(view.site, view.device);
      for (const name of ["availability", ...LAST_STATES]) device[name] = view[name] ?? device[name];
      device.last_seen = Math.max(device.last_seen, view.last_seen);
    }
  }

  /** Take in the answer of /api/readings; return the keys of the devices that it touched. */
  mergeReadings(list) {
    return new Set(list.map((view) => this.#mergeReading(view)));
  }

  /** Take in one live message; return the key of its device. */
  mergeMessage(message) {
    if (message.kind === "reading") return this.#mergeReading(message);
    const device = this.#device(message.site, message.device);
    if (message.kind === "availability") device.availability = message.state;
    if (message.kind === "aggregate" || LAST_STATES.includes(message.kind)) device[message.kind] = message;
    if (message.kind === "verdict") this.#mergeVerdict(device, message);
    const spoke = message.kind !== "verdict" && message.state !== "lost" && !message.retained;
    if (spoke) device.last_seen = Math.max(device.last_seen, message.received_at);
    return device.key;
  }

  #mergeReading(view) {
    const device = this.#device(view.site, view.device);
    const known = device.readings.find((reading) => reading.id === view.id);
    const reading = known ?? view;
    if (known) {
      known.verdict ??= view.verdict;
    } else {
      device.readings.push(view);
      device.readings.sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
      device.readings.splice(0, device.readings.length - KEPT_READINGS);
    }
    reading.verdict ??= device.verdicts.get(reading.id) ?? null;
    device.verdicts.delete(reading.id);
    settle(reading);
    device.last_seen = Math.max(device.last_seen, view.received_at);
    return device.key;
  }

  #mergeVerdict(device, verdict) {
    const reading = device.readings.find((one) => one.id === verdict.reading_id);
    if (reading) {
      reading.verdict ??= verdict;
      settle(reading);
      return;
    }
    // Ahead of its reading. Bounded: most of them are for readings that have left the page.
    device.verdicts.set(verdict.reading_id, verdict);
    if (device.verdicts.size > KEPT_READINGS) device.verdicts.delete(device.verdicts.keys().next().value);
  }

  #device(site, name) {
    const key = `${site}/${name}`;
    if (!this.devices.has(key)) {
      const device = { key, site, name, availability: null, birth: null, health: null, event: null, aggregate: null, last_seen: 0 };
      this.devices.set(key, { ...device, readings: [], verdicts: new Map() });
    }
    return this.devices.get(key);
  }
}

function settle(reading) {
  const judged = reading.verdict?.status === "ok" ? reading.verdict.fused : null;
  reading.final = judged ?? reading.fused;
}
