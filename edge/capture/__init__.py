"""Cameras, microphones and media files: frames and sound with time stamps of one clock per source."""
