// Accounts of a site: list, approve, disable, roles, new passwords, invitations.

import { call, currentSession, onSubmit } from "./api.js";
import { button, day, fillRows } from "./rows.js";

const problem = document.getElementById("problem");
const rolesDialog = document.getElementById("roles-dialog");
const passwordDialog = document.getElementById("password-dialog");
let editing = null;

async function show() {
  try {
    const [{ users }, { invitations }, me] = await Promise.all(
      [call("GET", "/api/users"), call("GET", "/api/invitations"), currentSession()]);
    fillRows(document.getElementById("users"), users.map((user) => row(user, me)), "No accounts yet.");
    document.getElementById("invitations").replaceChildren(...invitations.map(invitationItem));
    problem.hidden = true;
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

function row(user, me) {
  const roles = Object.entries(user.roles).map(([site, role]) => `${role} at ${site === "*" ? "all sites" : site}`);
  if (user.has_other_sites) roles.push("(and other sites)");
  const state = user.must_change_password && user.state === "active" ? "has to change the password" : user.state;
  const actions = document.createElement("span");
  actions.className = "actions";
  if (user.login !== me.login) {
    const next = user.state === "active" ? "disabled" : "active";
    const word = { active: "Disable", pending: "Approve", disabled: "Enable" }[user.state];
    actions.append(button(word, () => change(user, "state", { state: next })));
    actions.append(button("New password", () => open(passwordDialog, user)));
  }
  actions.append(button("Roles", () => {
    rolesDialog.querySelector("textarea").value =
      Object.entries(user.roles).map(([site, role]) => `${site} ${role}`).join("\n");
    open(rolesDialog, user);
  }));
  return [user.login, state, roles.join(", "), day(user.created_at), actions];
}

function invitationItem(invitation) {
  const item = document.createElement("li");
  item.textContent = `${invitation.role} at ${invitation.site}, by ${invitation.invited_by}, until ${day(invitation.expires_at)} `;
  item.append(button("Withdraw", async () => {
    await call("DELETE", `/api/invitations/${invitation.id}`);
    await show();
  }));
  return item;
}

async function change(user, what, body) {
  try {
    await call("PUT", `/api/users/${encodeURIComponent(user.login)}/${what}`, body);
    await show();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

function open(dialog, user) {
  editing = user;
  dialog.querySelector("h2").textContent = `${dialog === rolesDialog ? "Roles" : "A new password"} of ${user.login}`;
  dialog.showModal();
}

for (const dialog of [rolesDialog, passwordDialog]) {
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
}

onSubmit(document.getElementById("roles-form"), async ({ roles: text }) => {
  const roles = {};
  for (const line of text.split("\n").map((one) => one.trim()).filter(Boolean)) {
    const [site, role, ...more] = line.split(/\s+/);
    if (!role || more.length) throw new Error(`"${line}" is not a site and a role.`);
    roles[site] = role;
  }
  await call("PUT", `/api/users/${encodeURIComponent(editing.login)}/roles`, { roles });
  rolesDialog.close();
  await show();
});

onSubmit(document.getElementById("password-form"), async ({ password }) => {
  await call("PUT", `/api/users/${encodeURIComponent(editing.login)}/password`, { password });
  passwordDialog.close();
  passwordDialog.querySelector("form").reset();
  await show();
});

onSubmit(document.getElementById("invite-form"), async ({ site, role, days }) => {
  const { invitation } = await call("POST", "/api/invitations", { site, role, days: Number(days) });
  const link = document.getElementById("link");
  link.textContent = `Send this link to one person; it is shown only now: ${location.origin}/register?invitation=${invitation}`;
  link.hidden = false;
  await show();
});

show();
