"""Booting a target's executable on an emulated board: kernel, guest, QEMU, console, scenarios."""
