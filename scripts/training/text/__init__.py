"""The text model: a small encoder with public weights, taught on GoEmotions."""
