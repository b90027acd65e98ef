"""What answers when the device is unsure: broker, ingest, store, models, dashboard. Start at `cloud.serve`."""
