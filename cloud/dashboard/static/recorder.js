// Recording in the page: a picture, a film or sound, as a file like any other. Nothing is sent before the form is.

import { button } from "./rows.js";

const NEEDS_HTTPS = "This browser gives webcam and microphone only to pages that come by https or from this machine itself. "
  + "Whoever runs the service can offer https: mien-cloud serve --tls.";
const FORMATS = ["video/webm", "video/mp4"];
const WHAT = {
  picture: { media: { video: true }, start: "Take it", name: "picture.jpg" },
  video: { media: { video: true, audio: true }, start: "Start recording", name: "recording" },
  sound: { media: { audio: true }, start: "Start recording", name: "recording" },
};

/** Say why there is no webcam or microphone, in a sentence. */
export function whyNot(error) {
  if (!navigator.mediaDevices) return NEEDS_HTTPS;
  switch (error?.name) {
    case "NotAllowedError": return "The browser was told not to use webcam or microphone here; its address bar lets you change that.";
    case "NotFoundError": return "No webcam or microphone was found.";
    case "NotReadableError": return "Another program uses the webcam or the microphone.";
    default: return `Webcam or microphone cannot be used: ${error?.message ?? error}`;
  }
}

/** Make the buttons of `form` record; `take` gets each File, `complain` sentences. */
export function offerRecording(form, take, complain, longestS) {
  const panel = document.getElementById("recorder");
  const preview = document.getElementById("preview");
  const go = document.getElementById("recorder-do");
  const state = document.getElementById("recording-state");
  let [stream, recording, timer, kind] = [null, null, null, null];

  async function open(which) {
    close();
    kind = which;
    try {
      if (!navigator.mediaDevices) throw new Error("no media devices");
      stream = await navigator.mediaDevices.getUserMedia(WHAT[kind].media);
    } catch (error) {
      complain(whyNot(error));
      return;
    }
    complain("");
    preview.hidden = kind === "sound";
    if (kind !== "sound") {
      preview.srcObject = stream;
      await preview.play().catch(() => {});
    }
    state.textContent = "";
    go.textContent = WHAT[kind].start;
    panel.hidden = false;
    go.focus();
  }

  function close() {
    clearInterval(timer);
    if (recording?.state === "recording") recording.onstop = null;
    recording = null;
    for (const track of stream?.getTracks() ?? []) track.stop();
    [stream, preview.srcObject] = [null, null];
    panel.hidden = true;
  }

  function picture() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [preview.videoWidth, preview.videoHeight];
    canvas.getContext("2d").drawImage(preview, 0, 0);
    canvas.toBlob((blob) => { take(new File([blob], WHAT.picture.name, { type: blob.type })); close(); }, "image/jpeg", 0.92);
  }

  function record() {
    const mimeType = kind === "video" ? FORMATS.find((format) => MediaRecorder.isTypeSupported(format)) : undefined;
    const pieces = [];
    recording = new MediaRecorder(stream, mimeType ? { mimeType } : {});
    recording.ondataavailable = (event) => pieces.push(event.data);
    recording.onstop = () => {
      const type = recording.mimeType || "video/webm";
      take(new File(pieces, `${WHAT[kind].name}.${type.includes("mp4") ? "mp4" : type.includes("ogg") ? "ogg" : "webm"}`, { type }));
      close();
    };
    recording.start(1000);
    go.textContent = "Stop";
    let seconds = 0;
    state.textContent = "Recording …";
    timer = setInterval(() => {
      seconds += 1;
      state.textContent = `Recording: ${seconds} s`;
      if (seconds >= longestS) recording.stop();
    }, 1000);
  }

  go.addEventListener("click", () => {
    if (kind === "picture") picture();
    else if (recording?.state === "recording") recording.stop();
    else record();
  });
  document.getElementById("recorder-cancel").addEventListener("click", close);
  for (const one of form.querySelectorAll("[data-record]")) one.addEventListener("click", () => open(one.dataset.record));
}

/** The list of chosen files, each with a button that takes it out again. */
export function fillChosen(list, files, remove) {
  list.replaceChildren(...files.map((file) => {
    const item = document.createElement("li");
    const size = file.size < 1e6 ? `${Math.ceil(file.size / 1e3)} kB` : `${(file.size / 1e6).toFixed(1)} MB`;
    const out = button("Remove", () => remove(file));
    out.setAttribute("aria-label", `Remove ${file.name}`);
    item.append(`${file.name} (${size})`, out);
    return item;
  }));
}
