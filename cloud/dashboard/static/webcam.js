// The webcam page: a small picture goes, boxes come back, then the next one goes; at most so many a second.

import { drawFaces, facesText } from "./overlay.js";
import { whyNot } from "./recorder.js";
import { EMOTIONS, percent } from "./words.js";

const WIDTH = 480;
const MOST_PER_S = 8;
const QUALITY = 0.7;
const ANNOUNCE_EVERY_MS = 5_000;

const page = Object.fromEntries(["link", "camera", "boxes", "word", "unsure", "bars", "rate", "switch", "problem", "announcer", "off"].map(
  (id) => [id, document.getElementById(id)],
));
const bars = new Map(EMOTIONS.map((emotion) => {
  const bar = Object.assign(document.createElement("div"), { className: "bar" });
  const filled = bar.appendChild(document.createElement("span"));
  filled.dataset.emotion = emotion;
  page.bars.append(Object.assign(document.createElement("span"), { textContent: emotion }), bar);
  return [emotion, filled];
}));
let [stream, socket, sentAt, announcedAt, times] = [null, null, 0, 0, []];

async function start() {
  complain("");
  try {
    if (!navigator.mediaDevices) throw new Error("no media devices");
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  } catch (error) {
    complain(whyNot(error));
    return;
  }
  page.camera.srcObject = stream;
  await page.camera.play();
  page.off.hidden = true;
  page.switch.textContent = "Stop the camera";
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/webcam/live`);
  socket.onopen = () => { state("connecting", "Starting …"); sendPicture(); };
  socket.onmessage = (event) => { show(JSON.parse(event.data)); setTimeout(sendPicture, Math.max(0, 1000 / MOST_PER_S - (performance.now() - sentAt))); };
  socket.onclose = (event) => stop(stream ? event.reason || "The service closed the connection." : "");
}

function stop(why = "") {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  page.camera.srcObject = null;
  socket?.close();
  page.switch.textContent = "Start the camera";
  page.off.hidden = false;
  say(null, false, "–");
  drawFaces(page.boxes, []);
  page.rate.textContent = "";
  state(why ? "closed" : "idle", "Off");
  complain(why);
}

function sendPicture() {
  if (!stream || socket.readyState !== WebSocket.OPEN) return;
  sentAt = performance.now();
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = Math.round((WIDTH * page.camera.videoHeight) / page.camera.videoWidth);
  canvas.getContext("2d").drawImage(page.camera, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => { if (socket.readyState === WebSocket.OPEN) socket.send(blob); }, "image/jpeg", QUALITY);
}

function show({ frame, running, unsure }) {
  state("open", "On");
  const now = performance.now();
  times = [...times.filter((time) => now - time < 3000), now];
  page.rate.textContent = times.length > 1 ? `${((times.length - 1) / ((now - times[0]) / 1000)).toFixed(1)} pictures a second, ${Math.round(now - sentAt)} ms each` : "";
  page.boxes.dataset.drawn = String(Number(page.boxes.dataset.drawn ?? 0) + 1);
  drawFaces(page.boxes, frame.faces, { mirrored: true });
  say(running, unsure, "no face");
  if (now - announcedAt < ANNOUNCE_EVERY_MS) return;
  announcedAt = now;
  page.announcer.textContent = facesText(frame.faces);
}

function say(running, unsure, none) {
  page.word.textContent = running ? `${running.emotion} ${percent(running.confidence)}` : none;
  page.unsure.hidden = !unsure;
  for (const [emotion, filled] of bars) filled.style.width = `${100 * (running?.probs[emotion] ?? 0)}%`;
}

function state(name, text) {
  page.link.dataset.state = name;
  page.link.textContent = text;
}

function complain(text) {
  page.problem.textContent = text;
  page.problem.hidden = !text;
}

page.switch.addEventListener("click", () => (stream ? stop() : start()));
addEventListener("pagehide", () => stop());
