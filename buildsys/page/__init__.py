"""One build as one HTML file: jobs, sizes, verdicts, memory. Nothing in it asks a network."""

from buildsys.page.write import write

__all__ = ["write"]
