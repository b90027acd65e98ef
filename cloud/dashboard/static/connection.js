// The live socket, reopened with back-off, and the lists that fill the gap after every opening.

import { toLogin } from "./api.js";
import { KEPT_READINGS } from "./state.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const RIGHTS_ENDED = [4401, 4403];

/** Keep connected for ever. `on` has the functions open, lists, message and closed(waitMs). */
export function connect(on) {
  let attempt = 0;

  function open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/live`);
    socket.onopen = async () => {
      // The socket first, the lists second: what happens in between comes by the socket, and merging is idempotent.
      try {
        on.lists(await fetchLists());
        attempt = 0;
        on.open();
      } catch {
        socket.close();
      }
    };
    socket.onmessage = (event) => on.message(JSON.parse(event.data));
    socket.onclose = (event) => {
      if (RIGHTS_ENDED.includes(event.code)) {
        location.reload();  // what may be seen now, or the way to log in
        return;
      }
      const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt++);
      const waitMs = longest / 2 + Math.random() * longest / 2;
      on.closed(waitMs);
      setTimeout(open, waitMs);
      sendLoggedOutAway();
    };
  }
  open();
}

/** A socket that is refused does not say why: ask. */
async function sendLoggedOutAway() {
  const answer = await fetch("/api/session").catch(() => null);
  if (answer?.status === 401) toLogin();
}

async function fetchLists() {
  const { devices } = await fetchJson("/api/devices");
  const lists = await Promise.all(devices.map(({ site, device }) => {
    const query = new URLSearchParams({ site, device, limit: KEPT_READINGS });
    return fetchJson(`/api/readings?${query}`);
  }));
  return { devices, readings: lists.flatMap((list) => list.readings) };
}

async function fetchJson(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}
