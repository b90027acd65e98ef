"""Steps from one schema to the next; `cloud.store.migrate` runs them."""
