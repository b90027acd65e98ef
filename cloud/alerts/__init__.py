"""Alerts: rules over what is stored, raised, acknowledged and cleared, and told by MQTT, webhook, e-mail or SNS."""
