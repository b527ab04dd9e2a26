"""Artifacts become OCI images, and images the archives that k3s, Docker and skopeo read."""

from buildsys.image.archive import Archive, archive_of
from buildsys.image.oci import Image, Layer, image_of

__all__ = ["Archive", "Image", "Layer", "archive_of", "image_of"]
