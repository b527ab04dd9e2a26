"""Files of the guest's root; shell for busybox, read by `buildsys.machine.root`."""
