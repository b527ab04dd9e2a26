"""The command line: options that demand their values, refusals with a hint, safe streams."""
