// Talking to the service: JSON in and out, the CSRF token with every change, errors as sentences.

let session = null;

/** Who is logged in, what they may do, and the CSRF token; asked for once. */
export function currentSession() {
  session ??= call("GET", "/api/session");
  return session;
}

/** Send a request; return the JSON of the answer. Throws an Error that can be shown as it is.
 *  `open` is for those who have no session yet. */
export async function call(method, path, body, { open = false } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && !open) headers["X-CSRF-Token"] = (await currentSession()).csrf ?? "";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("The service does not answer. Is it running, and are you online?");
  }
  if (answer.status === 401 && method === "GET" && !open) toLogin();
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(sentence(data, answer.status)), { status: answer.status });
  return data;
}

/** Whoever looks at a page after their session has ended logs in again and comes back to it. */
export function toLogin() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** What a refusal's JSON says, as a sentence. */
export function sentence(data, status) {
  if (typeof data?.detail === "string") return data.detail.charAt(0).toUpperCase() + data.detail.slice(1).replace(/[^.!?…]$/, "$&.");
  return `The service answered with an error (${status}).`;
}

/** Hand a form's fields to `send` when it is submitted; show what went wrong, let nobody submit twice. */
export function onSubmit(form, send) {
  const problem = form.querySelector("[role=alert]");
  const button = form.querySelector("button:not([type=button])");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    try {
      await send(Object.fromEntries(new FormData(form)));
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
}
