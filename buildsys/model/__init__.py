"""Frozen, typed values: what a recipe and a target say."""

from buildsys.model.base import Frozen
from buildsys.model.options import (
    AutotoolsOptions,
    COptions,
    CopyOptions,
    GoOptions,
    KconfigOptions,
    MakeOptions,
    Options,
)
from buildsys.model.recipe import Output, Patch, Recipe, RecipeTest
from buildsys.model.source import DebianSource, GoModuleSource, LocalSource, Source
from buildsys.model.target import Target

__all__ = [
    "AutotoolsOptions",
    "COptions",
    "CopyOptions",
    "DebianSource",
    "Frozen",
    "GoModuleSource",
    "GoOptions",
    "KconfigOptions",
    "LocalSource",
    "MakeOptions",
    "Options",
    "Output",
    "Patch",
    "Recipe",
    "RecipeTest",
    "Source",
    "Target",
]
