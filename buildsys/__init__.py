"""Builds k3s and all it bundles for every board: recipe → job → artifact → bundle → verdict."""
