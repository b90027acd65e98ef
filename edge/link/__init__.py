"""The way to the cloud: the MQTT session, store and forward, evidence requests."""
