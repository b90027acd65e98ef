// What every page has: the way out.

import { call } from "./api.js";

document.getElementById("log-out")?.addEventListener("click", async () => {
  await call("DELETE", "/api/session");
  location.assign("/login");
});
