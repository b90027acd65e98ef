"""What runs on the device: capture, perception, fusion, gate, link. Start reading at `edge.pipeline`."""

__version__ = "0.1.0"
