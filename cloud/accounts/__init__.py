"""Accounts: roles, passwords, sessions, tokens, the audit log. What is stored is in `cloud.store`."""
