"""All artifacts of one target become one self-extracting executable; layout.py is its format."""

from buildsys.bundle.graph import BundleTasks
from buildsys.bundle.make import Bundle, Bundler

__all__ = ["Bundle", "BundleTasks", "Bundler"]
