// Making one's own account, with the invitation in the address or by asking for approval.

import { call, onSubmit } from "./api.js";

const invitation = new URLSearchParams(location.search).get("invitation");
const form = document.getElementById("register-form");

if (form) {
  onSubmit(form, async ({ login, password, site }) => {
    const answer = await call("POST", "/api/registration", { login, password, site, invitation }, { open: true });
    if (answer.state !== "active") {
      document.getElementById("done").hidden = false;
      form.reset();
      return;
    }
    await call("POST", "/api/session", { login, password }, { open: true });
    location.assign("/");
  });
}
