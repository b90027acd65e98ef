"""The web side: JSON, the live socket and the page."""

from cloud.api.app import create_app
from cloud.api.services import Services

__all__ = ["Services", "create_app"]
