"""Docker: k3s as an image for it, emulators for its containers, and builds in one of them."""
