"""The command line as people and scripts type it."""
