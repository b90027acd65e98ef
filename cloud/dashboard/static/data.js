// How long sites keep what, and erasing, which asks for the site's name first.

import { call, onSubmit } from "./api.js";
import { moment } from "./rows.js";

const dialog = document.getElementById("erase-dialog");
const confirmForm = document.getElementById("erase-form");
let erasing = null;

function addSite({ site, devices, retention }) {
  const section = document.getElementById("site").content.cloneNode(true).firstElementChild;
  section.querySelector('[data-slot="name"]').textContent = site;
  const done = section.querySelector(".done");
  const say = (text) => {
    done.textContent = text;
    done.hidden = false;
  };
  const keep = section.querySelector('[data-form="retention"]');
  for (const [name, days] of Object.entries(retention)) keep.elements[name].value = days;
  onSubmit(keep, async (fields) => {
    const days = Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, Number(text)]));
    await call("PUT", `/api/sites/${site}/retention`, days);
    say("Kept so from now on; what is older goes within the hour.");
  });
  const erase = section.querySelector('[data-form="erase"]');
  erase.elements.device.append(new Option("all devices", ""), ...devices.map((one) => new Option(one, one)));
  onSubmit(erase, async ({ device, from, until }) => {
    const period = { from: from ? new Date(from) / 1000 : null, until: until ? new Date(until) / 1000 : Date.now() / 1000 };
    if (period.from !== null && period.from >= period.until) throw new Error("The period has to end after it begins.");
    erasing = { site, say, body: { device: device || null, ...period } };
    const start = period.from === null ? "the beginning" : moment(period.from);
    document.getElementById("erase-what").textContent =
      `${device || "All devices"} of ${site}, from ${start} to ${moment(period.until)}.`;
    confirmForm.reset();
    confirmForm.querySelector(".problem").hidden = true;
    dialog.showModal();
  });
  return section;
}

onSubmit(confirmForm, async ({ confirm }) => {
  if (confirm !== erasing.site) throw new Error("That is not the name of the site.");
  const { erased } = await call("POST", `/api/sites/${erasing.site}/erasures`, erasing.body);
  const parts = Object.entries(erased).filter(([, count]) => count).map(([name, count]) => `${count} ${name.replace("_", " ")}`);
  erasing.say(`Erased: ${parts.join(", ") || "there was nothing"}.`);
  dialog.close();
});
dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());

try {
  const { sites } = await call("GET", "/api/sites");
  document.getElementById("sites").replaceChildren(...sites.map(addSite));
  document.getElementById("loading").hidden = sites.length > 0;
  document.getElementById("loading").textContent = "No device has reported yet, so there is nothing to keep.";
} catch (error) {
  document.getElementById("problem").textContent = error.message;
  document.getElementById("problem").hidden = false;
  document.getElementById("loading").hidden = true;
}
