// Asking a device for something; the dialog is there for those who may at one site at least.

import { call, onSubmit } from "./api.js";
import { button } from "./rows.js";

const dialog = document.getElementById("command-dialog");
const form = document.getElementById("command-form");
const sites = dialog?.dataset.sites.split(" ") ?? [];
let asked = null;

/** The cells of a device's row that hold its button: none where the table has no such column. */
export function commandButton({ site, device }) {
  if (!dialog) return [];
  if (!sites.includes("*") && !sites.includes(site)) return [""];
  const open = button("Ask", () => show(site, device));
  open.setAttribute("aria-label", `Ask ${device} of ${site}`);
  return [open];
}

function show(site, device) {
  asked = { site, device };
  dialog.querySelector("h2").textContent = `Ask ${device} of ${site}`;
  form.reset();
  say("");
  dialog.querySelector(".problem").hidden = true;
  dialog.showModal();
}

function say(text) {
  const done = dialog.querySelector(".done");
  done.textContent = text;
  done.hidden = !text;
}

if (dialog) {
  onSubmit(form, async ({ verb }) => {
    const mine = asked;
    say("Asked; waiting for the answer …");
    try {
      const { ok, text } = await call("POST", `/api/sites/${mine.site}/devices/${mine.device}/commands`, { verb });
      if (!ok) throw new Error(`${mine.device} could not, or is not well: ${text}`);
      if (asked === mine) say(`${mine.device} answers: ${text}`);
    } catch (error) {
      if (asked !== mine) return; // the dialog is about another device now
      say("");
      throw error;
    }
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
}
