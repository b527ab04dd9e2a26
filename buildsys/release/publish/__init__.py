"""Where a release can go: a folder, GitHub, a WebDAV or S3-like store, an OCI registry."""

from buildsys.release.publish.base import Destination, Outcome, Release, ReleaseFile
from buildsys.release.publish.choose import destination

__all__ = ["Destination", "Outcome", "Release", "ReleaseFile", "destination"]
