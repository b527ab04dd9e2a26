"""The targets whose large programs are tested; K3S_TEST_IMAGE_TARGETS="armv6" leaves others out."""

from __future__ import annotations

import os

TARGETS = tuple(os.environ.get("K3S_TEST_IMAGE_TARGETS", "amd64 armv6").split())
