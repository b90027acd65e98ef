// Alerts: what is open, asked for again every few seconds; what was; the rules; who is told.

import { call, currentSession, onSubmit } from "./api.js";
import { button, fillRows, moment } from "./rows.js";
import { ago, percent } from "./words.js";

const EVERY_MS = 5_000;
const PAGE = 50;
const byId = (id) => document.getElementById(id);
const earlier = [];
const session = await currentSession();
let devices = [];
let announced = new Set();

function say(state, text) {
  byId("status").dataset.state = state;
  byId("status").textContent = text;
}

async function safely(act) {
  try {
    await act();
    byId("problem").hidden = true;
    say("open", "Watching");
  } catch (error) {
    byId("problem").textContent = error.message;
    byId("problem").hidden = false;
    say("closed", "Not up to date");
  }
}

async function showOpen() {
  const { alerts } = await call("GET", "/api/alerts?state=open&limit=500");
  byId("none").hidden = alerts.length > 0;
  byId("open").replaceChildren(...alerts.map(openAlert));
  const news = alerts.filter((one) => !announced.has(one.key) && !one.acknowledged_at);
  if (news.length) byId("announcer").textContent = news.map((one) => `Alert: ${one.rule} at ${one.device}, ${one.text}`).join(". ");
  announced = new Set(alerts.map((one) => one.key));
  document.title = `${alerts.length ? `(${alerts.length}) ` : ""}Alerts · Mien`;
}

function openAlert(alert) {
  const item = document.createElement("li");
  const head = Object.assign(document.createElement("strong"), { textContent: `${alert.rule}: ${alert.site} / ${alert.device}` });
  const text = Object.assign(document.createElement("span"), { textContent: alert.text });
  const when = Object.assign(document.createElement("span"), { className: "when", textContent: `since ${moment(alert.since)}, ${ago(alert.since, Date.now())}` });
  item.append(head, text, when);
  if (alert.acknowledged_at) {
    item.dataset.known = "";
    when.textContent += `; known to ${alert.acknowledged_by}`;
  } else if (session.permissions.includes("manage-alerts")) {
    const act = button("Acknowledge", () => safely(async () => {
      await call("POST", `/api/alerts/${alert.key}/acknowledgement`);
      await showOpen();
    }));
    act.setAttribute("aria-label", `Acknowledge ${alert.rule} at ${alert.device}`);
    item.append(act);
  }
  return item;
}

async function showEarlier(older) {
  const before = older && earlier.length ? `&before=${earlier.at(-1).key}` : "";
  const { alerts } = await call("GET", `/api/alerts?limit=${PAGE}${before}`);
  if (!older) earlier.length = 0;
  earlier.push(...alerts);
  byId("more").hidden = alerts.length < PAGE;
  const rows = earlier.filter((one) => one.cleared_at).map((one) => [
    moment(one.raised_at), `${one.site} / ${one.device}`, one.rule, one.text, one.acknowledged_by ?? "nobody", moment(one.cleared_at),
  ]);
  fillRows(byId("earlier"), rows, "None yet.");
}

function holdsWhen(rule) {
  const duration = rule.duration_s ? ` for ${rule.duration_s} s` : "";
  const where = { together: "face and voice together", face: "the face", speech: "the voice", both: "face and voice, each" }[rule.modalities];
  const doubt = rule.count_unsure ? ", unsure ones too" : "";
  const what = {
    expression: `${rule.emotions.join(" or ")} at ${percent(rule.threshold)} or more in ${where}${doubt}`,
    lost: "the device is not heard", down: "a camera or microphone is down",
    temperature: `${rule.threshold} °C or more`, disk: "messages are given up",
  }[rule.kind];
  return `${rule.device ?? "any device"}: ${what}${duration}`;
}

async function showRules() {
  const { rules } = await call("GET", "/api/alert-rules");
  fillRows(byId("rules"), rules.map((rule) => {
    const { key, site, enabled, ...fields } = rule;
    const actions = Object.assign(document.createElement("div"), { className: "actions" });
    actions.append(
      button(enabled ? "Switch off" : "Switch on", () => safely(async () => {
        await call("PUT", `/api/alert-rules/${key}`, { ...fields, enabled: !enabled });
        await showRules();
      })),
      button("Delete", () => safely(async () => {
        await call("DELETE", `/api/alert-rules/${key}`);
        await showRules();
      })),
    );
    const name = enabled ? rule.name : `${rule.name} (off)`;
    const again = rule.repeat_s ? `every ${rule.repeat_s / 60} min` : "never";
    return [site, name, holdsWhen(rule), again, rule.quiet ? `${rule.quiet} ${rule.zone}` : "", actions];
  }), "No rule yet, so nothing is looked out for.");
}

function fillSites(select) {
  const sites = [...new Set(devices.map((one) => one.site))];
  select.replaceChildren(...sites.map((site) => new Option(site, site)));
}

function prepareRuleForm(form) {
  const fillDevices = () => {
    const here = devices.filter((one) => one.site === form.elements.site.value).map((one) => one.device);
    form.elements.device.replaceChildren(new Option("any", ""), ...here.map((name) => new Option(name, name)));
  };
  const fit = () => {
    const kind = form.elements.kind.value;
    for (const one of form.querySelectorAll(".for-expression")) one.hidden = kind !== "expression";
    for (const one of form.querySelectorAll(".for-temperature")) one.hidden = kind !== "temperature";
  };
  fillSites(form.elements.site);
  fillDevices();
  fit();
  form.elements.site.addEventListener("change", fillDevices);
  form.elements.kind.addEventListener("change", fit);
  onSubmit(form, async (fields) => {
    const expression = fields.kind === "expression";
    await call("POST", "/api/alert-rules", {
      site: fields.site, device: fields.device || null, name: fields.name, kind: fields.kind,
      emotions: expression ? new FormData(form).getAll("emotions") : [],
      modalities: fields.modalities, count_unsure: fields.count_unsure === "on",
      threshold: expression ? Number(fields.percent) / 100 : Number(fields.celsius),
      duration_s: Number(fields.duration_s), repeat_s: 60 * Number(fields.repeat_min),
      quiet: fields.quiet_from && fields.quiet_until ? `${fields.quiet_from}-${fields.quiet_until}` : "",
      zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    });
    form.elements.name.value = "";
    await showRules();
  });
}

async function showChannels() {
  const { channels, kinds } = await call("GET", "/api/alert-channels");
  const names = { webhook: "webhook", mail: "e-mail", sns: "Amazon SNS" };
  const choice = byId("channel-form").elements.kind;
  if (!choice.options.length) choice.append(...kinds.map((kind) => new Option(names[kind], kind)));
  fillRows(byId("channels"), channels.map((one) => [one.site, names[one.kind], one.target, button("Delete", () => safely(async () => {
    await call("DELETE", `/api/alert-channels/${one.key}`);
    await showChannels();
  }))]), "Nobody but who looks here or listens to MQTT.");
}

function prepareChannelForm(form) {
  const fit = () => {
    byId("target-name").textContent = { webhook: "URL", mail: "E-mail address", sns: "ARN of the topic" }[form.elements.kind.value];
  };
  fillSites(form.elements.site);
  fit();
  form.elements.kind.addEventListener("change", fit);
  onSubmit(form, async ({ site, kind, target }) => {
    const { secret } = await call("POST", "/api/alert-channels", { site, kind, target });
    byId("secret").textContent = secret ? `Its requests are signed with this secret, shown only now: ${secret}` : "Added: what is raised from now on is told there.";
    byId("secret").hidden = false;
    form.elements.target.value = "";
    await showChannels();
  });
}

byId("more").addEventListener("click", () => safely(() => showEarlier(true)));
await safely(async () => {
  ({ devices } = await call("GET", "/api/devices"));
  await Promise.all([showOpen(), showEarlier(false)]);
  if (byId("rule-form")) {
    prepareRuleForm(byId("rule-form"));
    await showRules();
  }
  if (byId("channel-form")) {
    await showChannels();
    prepareChannelForm(byId("channel-form"));
  }
});
setInterval(() => safely(async () => {
  await showOpen();
  if (earlier.length <= PAGE) await showEarlier(false);
}), EVERY_MS);
