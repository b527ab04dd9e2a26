"""Getting a published release: what suits a machine, received in parts, checked, moved into place.

The folder that it leaves is what install.sh takes without a network.
"""

from buildsys.download.place import Place
from buildsys.download.verb import Downloaded, Request, asked, download

__all__ = ["Downloaded", "Place", "Request", "asked", "download"]
