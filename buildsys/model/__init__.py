"""Frozen, typed values: what a recipe and a target say."""

from buildsys.model.base import Frozen
from buildsys.model.board import BoardDefault
from buildsys.model.image import ImageTable
from buildsys.model.machine import DeviceTreeEdit, KernelTable, MachineTable, OneShotTimer
from buildsys.model.options import (
    AutotoolsOptions,
    CertdataOptions,
    COptions,
    CopyOptions,
    GoOptions,
    KconfigOptions,
    MakeOptions,
    MesonOptions,
    Options,
    YarnOptions,
)
from buildsys.model.profile import FULL, Missing, Profile, bundle_suffix
from buildsys.model.recipe import Output, Patch, Recipe, RecipeTest
from buildsys.model.release import ReleaseTable, UpstreamTable
from buildsys.model.scenario import HOST, ScenarioTable, Step
from buildsys.model.source import DebianBinary, DebianSource, GoModuleSource, LocalSource, Source
from buildsys.model.target import Target

__all__ = [
    "FULL",
    "HOST",
    "AutotoolsOptions",
    "BoardDefault",
    "COptions",
    "CertdataOptions",
    "CopyOptions",
    "DebianBinary",
    "DebianSource",
    "DeviceTreeEdit",
    "Frozen",
    "GoModuleSource",
    "GoOptions",
    "ImageTable",
    "KconfigOptions",
    "KernelTable",
    "LocalSource",
    "MachineTable",
    "MakeOptions",
    "MesonOptions",
    "Missing",
    "OneShotTimer",
    "Options",
    "Output",
    "Patch",
    "Profile",
    "Recipe",
    "RecipeTest",
    "ReleaseTable",
    "ScenarioTable",
    "Source",
    "Step",
    "Target",
    "UpstreamTable",
    "YarnOptions",
    "bundle_suffix",
]
