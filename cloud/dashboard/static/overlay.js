// Boxes over a picture: where faces are and what they look like, on a canvas as large as what lies below it.

import { percent } from "./words.js";

const LINE = 3;
const FONT = 15;

/** Draw the faces of one frame. `mirrored` where the picture below is shown as in a mirror. */
export function drawFaces(canvas, faces, { mirrored = false } = {}) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = `600 ${FONT}px system-ui, sans-serif`;
  for (const face of faces) drawFace(context, face, width, height, mirrored);
}

function drawFace(context, { box, expression, unsure }, width, height, mirrored) {
  const left = (mirrored ? 1 - box.x - box.width : box.x) * width;
  const [top, wide, high] = [box.y * height, box.width * width, box.height * height];
  const color = getComputedStyle(document.documentElement).getPropertyValue(`--${expression.emotion}`).trim();
  context.lineWidth = LINE + 2;
  context.strokeStyle = "#000a";
  context.setLineDash([]);
  context.strokeRect(left, top, wide, high);
  context.lineWidth = LINE;
  context.strokeStyle = color;
  context.setLineDash(unsure ? [8, 6] : []);
  context.strokeRect(left, top, wide, high);
  const text = `${expression.emotion} ${percent(expression.confidence)}${unsure ? " ?" : ""}`;
  const room = context.measureText(text).width + 12;
  const x = Math.max(0, Math.min(left - 1, width - room));
  const y = top >= FONT + 10 ? top - FONT - 10 : Math.min(top + high, height - FONT - 10);
  context.fillStyle = "#000c";
  context.fillRect(x, y, room, FONT + 8);
  context.fillStyle = "#fff";
  context.fillText(text, x + 6, y + FONT + 1);
}

/** The faces of a frame in words, for those who cannot see boxes. */
export function facesText(faces) {
  if (!faces.length) return "No face.";
  const each = faces.map((face) => `face ${face.face}: ${face.expression.emotion} ${percent(face.expression.confidence)}${face.unsure ? " (unsure)" : ""}`);
  return `${faces.length === 1 ? "1 face" : `${faces.length} faces`} · ${each.join(" · ")}`;
}

/** The last frame at or before a time, unless it lies too far back; frames are in order. */
export function frameAt(frames, timeS) {
  let [low, high] = [0, frames.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frames[middle].time_s <= timeS + 0.02) low = middle + 1; else high = middle;
  }
  const frame = frames[low - 1];
  return frame && timeS - frame.time_s < 1 ? frame : null;
}
