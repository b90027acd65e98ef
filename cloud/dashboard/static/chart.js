// The timeline: one stacked bar per reading, of its final distribution, and a mark for what the cloud made of it.
// Plotly comes late and by itself, so that the page is there before its five megabytes are.

import { EMOTIONS, clock, outcomeOf, outcomeText, percent } from "./words.js";

const MARKS = { corrected: "diamond", confirmed: "circle", refused: "x-thin-open", waiting: "circle-open", unsure: "?" };
const MARK_HEIGHT = 1.08;
const BAR_PX = 9;
const TICK_PX = 110;
const FEWEST_PLACES = 20;
const MOST_BARS = 60;
let plotly = null;

/** Load Plotly once; reject if it cannot be had. */
export function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/vendor/plotly.min.js";
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => { plotly = null; reject(new Error("Plotly did not load")); };
    document.head.append(script);
  });
  return plotly;
}

/** How many readings have room in `element`, each with its mark. */
export function roomFor(element) {
  return Math.min(MOST_BARS, Math.max(FEWEST_PLACES, Math.floor(element.clientWidth / BAR_PX)));
}

/** Draw the readings into `element`; quietly leave it as it is if Plotly cannot be loaded: the table is there. */
export async function draw(element, readings, nowMs) {
  let library;
  try {
    library = await loadPlotly();
  } catch {
    return;
  }
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const data = [...bars(readings, nowMs, color), ...marks(readings, nowMs, color)];
  const config = { displayModeBar: false, responsive: true, staticPlot: false, scrollZoom: false };
  await library.react(element, data, layout(readings, nowMs, color, element.clientWidth), config);
}

function bars(readings, nowMs, color) {
  const hover = readings.map((reading) => clock(reading.at, nowMs));
  return EMOTIONS.map((emotion) => ({
    type: "bar",
    name: emotion,
    x: readings.map((_, index) => index),
    y: readings.map((reading) => reading.final?.probs[emotion] ?? 0),
    marker: { color: color(`--${emotion}`), line: { width: 0 } },
    customdata: hover,
    hovertemplate: `${emotion} %{y:.0%} at %{customdata}<extra></extra>`,
  }));
}

function marks(readings, nowMs, color) {
  const outcomes = readings.map((reading) => outcomeOf(reading, nowMs));
  return Object.entries(MARKS).map(([outcome, symbol]) => {
    const places = outcomes.flatMap((one, index) => (one === outcome ? [index] : []));
    const isText = symbol === "?";
    return {
      type: "scatter",
      mode: isText ? "text" : "markers",
      x: places,
      y: places.map(() => MARK_HEIGHT),
      text: places.map((index) => (isText ? "?" : hoverText(readings[index], nowMs))),
      textfont: { color: color("--muted"), size: 12 },
      marker: { symbol, size: 9, color: color(`--${outcome}`), line: { width: 2, color: color(`--${outcome}`) } },
      hovertext: places.map((index) => hoverText(readings[index], nowMs)),
      hoverinfo: "text",
      cliponaxis: false,
    };
  });
}

function hoverText(reading, nowMs) {
  const final = reading.final ? `${reading.final.emotion} ${percent(reading.final.confidence)}` : "nothing";
  return `${clock(reading.at, nowMs)}: ${final}<br>${outcomeText(reading, nowMs)}`;
}

function layout(readings, nowMs, color, width) {
  const shown = Math.max(readings.length, FEWEST_PLACES);
  const steps = Math.ceil(shown * TICK_PX / Math.max(TICK_PX, width));
  const ticks = readings.flatMap((_, index) => (index % steps === 0 ? [index] : []));
  return {
    barmode: "stack",
    bargap: readings.length > 40 ? 0 : 0.08,
    showlegend: false,
    margin: { l: 44, r: 8, t: 8, b: 28 },
    height: 230,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: color("--muted"), family: getComputedStyle(document.body).fontFamily, size: 12 },
    hoverlabel: { align: "left" },
    // Few readings keep their width instead of filling the chart.
    xaxis: {
      ticklabelstandoff: 4,
      range: [-0.6, shown - 0.4], tickangle: 0, fixedrange: true, showgrid: false, zeroline: false,
      tickvals: ticks, ticktext: ticks.map((index) => clock(readings[index].at, nowMs)),
    },
    yaxis: {
      range: [0, 1.16], fixedrange: true, gridcolor: color("--line"), zeroline: false,
      tickvals: [0, 0.5, 1], ticktext: ["0 %", "50 %", "100 %"],
    },
  };
}
