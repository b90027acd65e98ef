"""Training, calibration and export of the face and speech models: the package behind `scripts/train`."""
