"""`scripts/train prepare`: official releases, as they are downloaded, become the packs of docs/data.md.

A release is read member by member, from a folder or a zip, and nothing of it is extracted. What is wrong with a file is
noted in a `Report` and the others are packed. The families: `speech` (RAVDESS, TESS, CREMA-D, SAVEE), `faces` (CK+,
JAFFE, any folder per class), `fer2013`, `goemotions`; `mix` joins packs.
"""

import os

# A picture of more pixels than this is an attack or a mistake. OpenCV reads it when it is loaded, so it stands here.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))
