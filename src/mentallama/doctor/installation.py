"""The installed package: its Python, the versions of its libraries, and its optional extras."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mentallama.extras import install_hint

DISTRIBUTION = "mentallama"
FOR_DEVELOPERS = "dev"
"""The extra with the tools of the tests, which users are not told about."""


@dataclass(frozen=True)
class LibraryState:
    """A library: the versions that are needed (`>=2.12`), and the one that is installed, if any."""

    name: str
    needed: str
    installed: str | None

    @property
    def is_too_old_or_new(self) -> bool:
        """Whether a version is installed that the package does not work with."""
        return self.installed is not None and not SpecifierSet(self.needed).contains(
            self.installed, prereleases=True
        )


@dataclass(frozen=True)
class ExtraState:
    """An optional extra: its libraries, and the command that installs it."""

    name: str
    libraries: tuple[LibraryState, ...]
    install: str

    @property
    def is_installed(self) -> bool:
        return all(library.installed for library in self.libraries)


@dataclass(frozen=True)
class Installation:
    """`needed_python` and `libraries` are empty if the package is not installed but only found by its path."""

    version: str
    python: str
    needed_python: str
    platform: str
    libraries: tuple[LibraryState, ...]
    extras: tuple[ExtraState, ...]


def installed_version(name: str) -> str | None:
    """The version of an installed distribution; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def sort_requirements(
    lines: Iterable[str],
    extras: Iterable[str],
    version_of: Callable[[str], str | None] = installed_version,
) -> tuple[tuple[LibraryState, ...], dict[str, tuple[LibraryState, ...]]]:
    """The libraries that every installation needs, and those of each extra.

    Parameters
    ----------
    lines
        Requirements as in a package's metadata, such as `torch>=2.9; extra == "train"`. Those whose marker excludes
        this platform or Python are left out.
    extras
        Names of the extras.

    >>> sort_requirements(["a>=1", 'b<3; extra == "x"'], ["x"], {"a": "2.0"}.get)[1]
    {'x': (LibraryState(name='b', needed='<3', installed=None),)}
    """
    requirements = [Requirement(line) for line in lines]

    def states(chosen: Iterable[Requirement]) -> tuple[LibraryState, ...]:
        return tuple(LibraryState(each.name, str(each.specifier), version_of(each.name)) for each in chosen)

    always = [each for each in requirements if _applies(each, "")]
    return states(always), {
        extra: states(each for each in requirements if each not in always and _applies(each, extra))
        for extra in extras
    }


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def describe_installation(version: str) -> Installation:
    """The state of this installation; `version` is the package's own."""
    try:
        package = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        lines, names, needed_python = [], [], ""
    else:
        lines = package.get_all("Requires-Dist") or []
        names = [name for name in package.get_all("Provides-Extra") or [] if name != FOR_DEVELOPERS]
        needed_python = package["Requires-Python"] or ""
    libraries, by_extra = sort_requirements(lines, names)
    return Installation(
        version=version,
        python=platform.python_version(),
        needed_python=needed_python,
        platform=f"{platform.system()} {platform.release()} on {platform.machine()}",
        libraries=libraries,
        extras=tuple(ExtraState(name, found, install_hint(name)) for name, found in by_extra.items()),
    )
