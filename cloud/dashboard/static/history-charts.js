// The charts of history. All share the period; dragging over one of them zooms all.

import { loadPlotly } from "./chart.js";
import { EMOTIONS } from "./words.js";

const READING_S = 3;
const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
// Told apart without color as well: by dashes and marks.
const LINES = [["--sad", "solid"], ["--angry", "dash"], ["--disgust", "dot"], ["--fear", "dashdot"]];

const SHARES = { range: [0, 1.01], tickvals: [0, 0.25, 0.5, 0.75, 1], ticktext: ["0 %", "25 %", "50 %", "75 %", "100 %"] };
// Of unlike units, one below the other: axis, place from below, name.
const HEALTH = [["y", [0.74, 1], "°C"], ["y2", [0.37, 0.63], "MB"], ["y3", [0, 0.26], "messages"]];

export function drawPerception(element, { step, perception: p }, range, onZoom) {
  const x = places(p.at, step);
  const height = (name) => p.at.map((_, i) => (p.perceived[i] ? p.emotions[name][i] * p.perceived[i] / p.n[i] : 0));
  return draw(element, areas(x, height, ".0%"), range, onZoom, { yaxis: SHARES });
}

export function drawCrowd(element, { step, crowd: c }, range, onZoom) {
  const x = places(c.at, step || 60);
  const expressions = EMOTIONS.some((name) => c.emotions[name].some((count) => count > 0));
  if (expressions) {
    return draw(element, areas(x, (name) => c.emotions[name].map((count) => count ?? 0), ".1f"), range, onZoom);
  }
  const traces = lines(c.at, step || 60, [["faces", c.faces], ["windows with a voice", c.voiced]]);
  return draw(element, traces, range, onZoom, { yaxis: { rangemode: "tozero" } }, true);
}

export function drawCascade(element, { step, perception: p }, range, onZoom) {
  const part = (parts, wholes) => p.at.map((_, i) => (wholes[i] ? parts[i] / wholes[i] : null));
  const traces = lines(p.at, step, [
    ["sure on the device", part(p.sure, p.perceived)], ["asked of the cloud", part(p.asked, p.perceived)],
    ["cloud agreed", part(p.agreed, p.compared)], ["mean confidence", p.confidence],
  ]);
  return draw(element, traces, range, onZoom, { yaxis: SHARES }, true);
}

export function drawLatency(element, { step, health: h }, range, onZoom) {
  const traces = lines(h.at, step, [
    ["reading, median", h.reading_p50_ms], ["reading, p95", h.reading_p95_ms],
    ["verdict, median", h.verdict_p50_ms], ["verdict, p95", h.verdict_p95_ms],
  ]);
  return draw(element, traces, range, onZoom, { yaxis: { rangemode: "tozero", ticksuffix: " ms" } }, true);
}

export function drawHealth(element, { step, health: h }, range, onZoom) {
  const traces = lines(h.at, step, [
    ["temperature", h.temperature_c, "y"], ["memory", h.memory_mb, "y2"], ["outbox", h.outbox_rows, "y3"],
  ]);
  const faults = h.at.flatMap((at, i) => (h.down[i] ? [local(at)] : []));
  const color = getComputedStyle(document.documentElement).getPropertyValue("--refused").trim();
  if (faults.length) {
    traces.push({
      type: "scatter", mode: "markers", name: "source down", x: faults, y: faults.map(() => 0), yaxis: "y3",
      marker: { symbol: "x", size: 9, color }, cliponaxis: false, hovertemplate: "down<extra></extra>",
    });
  }
  const axes = HEALTH.map(([axis, domain, text]) =>
    [axis.replace("y", "yaxis"), { domain, title: { text, standoff: 6 }, nticks: 3, rangemode: "tozero" }]);
  return draw(element, traces, range, onZoom, { ...Object.fromEntries(axes), xaxis: { anchor: "y3" } }, true);
}

/** Local time without a zone: Plotly knows only one zone and draws what it is told. */
function local(seconds) {
  const at = new Date(seconds * 1000);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 23);
}

/** Buckets with the gaps between them: [time, index], index null where a gap begins. */
function places(at, step) {
  const width = step || READING_S;
  return at.flatMap((time, i) => {
    const ends = i === at.length - 1 || at[i + 1] > time + 1.5 * width;
    return ends ? [[time, i], [time + width, null]] : [[time, i]];
  });
}

function areas(x, heightOf, format) {
  const style = getComputedStyle(document.documentElement);
  const border = style.getPropertyValue("--card").trim();
  return EMOTIONS.map((name) => {
    const values = heightOf(name);
    return {
      type: "scatter", mode: "lines", name, stackgroup: "all", x: x.map(([time]) => local(time)),
      y: x.map(([, i]) => (i == null ? 0 : values[i])), fillcolor: style.getPropertyValue(`--${name}`).trim(),
      line: { shape: "hv", width: 0.6, color: border }, hovertemplate: `${name} %{y:${format}}<extra></extra>`,
    };
  });
}

function lines(at, step, columns) {
  const style = getComputedStyle(document.documentElement);
  const x = places(at, step);
  return columns.flatMap(([name, values, yaxis = "y"], number) => {
    if (values.every((value) => value == null)) return [];
    const [color, dash] = LINES[number];
    const few = at.length < 40;
    return [{
      type: "scatter", mode: few ? "lines+markers" : "lines", name, yaxis, connectgaps: false,
      x: x.map(([time]) => local(time)), y: x.map(([, i]) => (i == null ? null : values[i])),
      line: { color: style.getPropertyValue(color).trim(), dash, width: 2 }, marker: { symbol: number, size: 6 },
    }];
  });
}

async function draw(element, traces, [from, until], onZoom, axes = {}, legend = false) {
  let library;
  try {
    library = await loadPlotly();
  } catch {
    return;  // the sentences and the table say the same
  }
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const layout = {
    showlegend: legend,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    margin: { l: 52, r: 12, t: legend ? 48 : 10, b: 36 },
    height: element.clientHeight,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: color("--muted"), family: getComputedStyle(document.body).fontFamily, size: 12 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: color("--card"), bordercolor: color("--line"), font: { color: color("--text") } },
    dragmode: "zoom",
    xaxis: { type: "date", range: [local(from), local(until)], ticklabelstandoff: 4, gridcolor: color("--line"), zeroline: false, nticks: Math.max(3, Math.floor(element.clientWidth / 120)) },
  };
  for (const name of ["yaxis", ...Object.keys(axes)]) {
    layout[name] = { fixedrange: name !== "xaxis", gridcolor: color("--line"), zeroline: false, ...layout[name], ...axes[name] };
  }
  await library.react(element, traces, layout, CONFIG);
  element.removeAllListeners?.("plotly_relayout");
  element.on("plotly_relayout", (change) => {
    const [start, end] = [change["xaxis.range[0]"], change["xaxis.range[1]"]].map((text) => Date.parse(String(text).replace(" ", "T")) / 1000);
    if (end > start) onZoom(start, end);
  });
}
