// The timeline of a clip: expression in each frame, vocal tone and both together in each window.

import { loadPlotly } from "./chart.js";
import { EMOTIONS } from "./words.js";

const TONES = [...EMOTIONS, "calm"];
const FRAME_S = 0.2;
const ROW_PX = 110;
const TITLE_PX = 34;

/** Draw a part's timeline; `seek` gets the second that was clicked. Leaves the element empty without Plotly. */
export async function drawTimeline(element, part, seek) {
  let library;
  try {
    library = await loadPlotly();
  } catch {
    element.hidden = true;
    return;
  }
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const rows = rowsOf(part);
  element.style.height = `${heightOf(rows)}px`;
  const traces = rows.flatMap((row, index) => row.traces(part, color, index === 0 ? "y" : `y${index + 1}`));
  await library.react(element, traces, layout(rows, part, color), { displayModeBar: false, responsive: true });
  element.removeAllListeners?.("plotly_click");
  element.on("plotly_click", (event) => seek(event.points[0].x));
}

const heightOf = (rows) => ROW_PX * rows.length + 60;

function rowsOf(part) {
  const rows = [];
  if (part.frames.some((frame) => frame.faces.length)) rows.push({ title: "Expression", traces: frameTraces, most: 1 });
  if (part.windows.some((window) => window.speech)) rows.push({ title: "Vocal tone", traces: toneTraces, most: 1 });
  rows.push({ title: "Together, and its confidence", traces: fusedTraces, most: 1.3 });
  return rows;
}

function frameTraces(part, color, yaxis) {
  const frames = part.frames.filter((frame) => frame.faces.length);
  return stacked(EMOTIONS, frames.map((frame) => frame.time_s + FRAME_S / 2), frames.map(() => FRAME_S),
    frames.map((frame) => frame.faces[0].expression), color, yaxis);
}

function toneTraces(part, color, yaxis) {
  const windows = part.windows.filter((window) => window.speech);
  return stacked(TONES, windows.map(middle), windows.map(length), windows.map((window) => window.speech), color, yaxis);
}

function fusedTraces(part, color, yaxis) {
  const windows = part.windows.filter((window) => window.fused);
  const said = windows.map((window) => window.fused);
  return [
    ...stacked(EMOTIONS, windows.map(middle), windows.map(length), said, color, yaxis),
    {
      type: "scatter", mode: "lines+markers+text", yaxis, x: windows.map(middle), y: said.map((one) => one.confidence),
      text: windows.map((window) => window.fused.emotion + (window.unsure ? " ?" : "")),
      textposition: "top center", textfont: { color: color("--text"), size: 11 },
      line: { color: color("--text"), width: 2 }, marker: { color: color("--text"), size: 6 },
      hovertemplate: "%{text} %{y:.0%}<extra></extra>", cliponaxis: false,
    },
  ];
}

function stacked(labels, x, width, said, color, yaxis) {
  return labels.map((label) => ({
    type: "bar", name: label, x, width, yaxis, y: said.map((one) => one.probs[label] ?? 0),
    marker: { color: color(`--${label}`), line: { width: 0 } },
    hovertemplate: `${label} %{y:.0%} at %{x:.1f} s<extra></extra>`,
  }));
}

function layout(rows, part, color) {
  const made = {
    barmode: "stack", showlegend: false, bargap: 0, height: heightOf(rows),
    margin: { l: 44, r: 8, t: 4, b: 44 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: color("--muted"), family: getComputedStyle(document.body).fontFamily, size: 12 },
    xaxis: { range: [0, Math.max(part.duration_s, 0.5)], title: { text: "seconds" }, showgrid: false, zeroline: false, fixedrange: true, anchor: `y${rows.length > 1 ? rows.length : ""}` },
    annotations: [],
  };
  const high = 1 / rows.length;
  const spare = TITLE_PX / (ROW_PX * rows.length);
  rows.forEach((row, index) => {
    const top = 1 - index * high;
    made[`yaxis${index ? index + 1 : ""}`] = {
      domain: [top - high, top - spare], range: [0, row.most], fixedrange: true, gridcolor: color("--line"), zeroline: false,
      tickvals: [0, 1], ticktext: ["0 %", "100 %"],
    };
    made.annotations.push({ text: row.title, xref: "paper", yref: "paper", x: 0, y: top, xanchor: "left", yanchor: "top", showarrow: false });
  });
  return made;
}

const middle = (window) => (window.start_s + window.end_s) / 2;
const length = (window) => (window.end_s - window.start_s) * 0.98;
