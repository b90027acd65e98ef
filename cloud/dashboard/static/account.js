// One's own password, the change of which ends all sessions, so that this one is opened anew; access tokens.

import { call, currentSession, onSubmit } from "./api.js";
import { button, day } from "./rows.js";

const form = document.getElementById("password-form");
if (form) {
  onSubmit(form, async ({ old, new: chosen }) => {
    const { login, must_change_password: first } = await currentSession();
    await call("PUT", "/api/session/password", { old, new: chosen });
    await call("POST", "/api/session", { login, password: chosen }, { open: true });
    if (first) {
      location.assign("/");
      return;
    }
    form.reset();
    document.getElementById("done").hidden = false;
  });
}

const tokens = document.getElementById("tokens");

async function showTokens() {
  const { tokens: found } = await call("GET", "/api/tokens");
  tokens.replaceChildren(...found.map((token) => {
    const item = document.createElement("li");
    const used = token.used_at ? `last used ${day(token.used_at)}` : "never used";
    item.textContent = `${token.name}: until ${day(token.expires_at)}, ${used} `;
    item.append(button("Delete", async () => {
      await call("DELETE", `/api/tokens/${token.id}`);
      await showTokens();
    }));
    return item;
  }));
}

if (tokens) {
  onSubmit(document.getElementById("token-form"), async ({ name, days }) => {
    const { token } = await call("POST", "/api/tokens", { name, days: Number(days) });
    const shown = document.getElementById("token");
    shown.textContent = `Copy it now, it is not shown again: ${token}`;
    shown.hidden = false;
    await showTokens();
  });
  showTokens();
}
