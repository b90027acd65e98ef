// The login form; afterwards back to where the visitor wanted to go, on this service only.

import { call, onSubmit } from "./api.js";

onSubmit(document.getElementById("login-form"), async ({ login, password }) => {
  await call("POST", "/api/session", { login, password }, { open: true });
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  const target = new URL(next, location.origin);
  location.assign(target.origin === location.origin ? target.href : "/");
});
