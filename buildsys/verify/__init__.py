"""Proving an executable: audit reads and runs every ELF in it, smoke starts its server."""
