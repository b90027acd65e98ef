"""The web side: JSON, the live socket and the page."""

from cloud.api.app import create_app

__all__ = ["create_app"]
