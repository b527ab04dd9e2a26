"""From proven executables to what people download: preflight, layout, notes, publishing."""
