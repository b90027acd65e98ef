"""Analysing what people upload, record or type: pictures, sound, video and text in, one result out.

Files are decoded and judged in a child process with limits of its own (`child`), never in the service: FFmpeg reads
what strangers send. `Analyses` (`jobs`) is what the web side talks to.
"""
