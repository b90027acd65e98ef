// The audit log, a page at a time.

import { call } from "./api.js";
import { fillRows, moment } from "./rows.js";

const PAGE = 100;
const more = document.getElementById("more");
const problem = document.getElementById("problem");
const lines = [];

async function load() {
  try {
    const before = lines.length ? `&before=${lines.at(-1).key}` : "";
    const { audit } = await call("GET", `/api/audit?limit=${PAGE}${before}`);
    lines.push(...audit);
    more.hidden = audit.length < PAGE;
    const rows = lines.map((line) =>
      [moment(line.at), line.actor, line.action, line.site, line.target, detailText(line.detail)]);
    fillRows(document.getElementById("lines"), rows, "Nothing yet.");
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

function detailText(detail) {
  return Object.entries(detail).map(([name, value]) => `${name}: ${value ?? "none"}`).join(", ");
}

more.addEventListener("click", load);
load();
