"""The mix document: what the mixer shows, the preview plays and the export renders."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

import attrs

from isomix.errors import InvalidOptions, UnknownStem

MAX_GAIN_DB = 60.0


def _refuse(name: str, value: object, rule: str) -> InvalidOptions:
    return InvalidOptions(f"{name} must be {rule}, not {value!r}", option=name, value=value)


def _number(value: object, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise _refuse(name, value, f"a number from {low:g} to {high:g}")
    return float(value)


def _within(low: float, high: float) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        _number(value, attribute.name, low, high)

    return check


def _flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise _refuse(attribute.name, value, "true or false")


_gain = attrs.field(default=0.0, validator=_within(-MAX_GAIN_DB * 2, MAX_GAIN_DB))
_seconds = attrs.field(default=0.0, validator=_within(0.0, math.inf))


@attrs.frozen(kw_only=True)
class Track:
    """How one stem is heard.

    Parameters
    ----------
    gain_db : float
        Gain, -120 to 60.
    pan : float
        -1 (left) to 1 (right); the law is that of Web Audio's StereoPannerNode for stereo, which leaves the middle as
        it is.
    mute : bool
        Silent, whatever else is said.
    solo : bool
        If any track is solo, only those are heard.
    fade_in_seconds, fade_out_seconds : float
        Linear ramps from the start and to the end of the mix.
    """

    gain_db: float = _gain
    pan: float = attrs.field(default=0.0, validator=_within(-1.0, 1.0))
    mute: bool = attrs.field(default=False, validator=_flag)
    solo: bool = attrs.field(default=False, validator=_flag)
    fade_in_seconds: float = _seconds
    fade_out_seconds: float = _seconds


@attrs.frozen(kw_only=True)
class Mix:
    """A mix of a project's stems.

    Parameters
    ----------
    stems : mapping of str to Track
        By name; a stem that is not named is heard as it is.
    gain_db : float
        Master gain.
    start_seconds : float
        Where the mix begins in the recording.
    end_seconds : float or None
        Where it ends; None for the recording's end.

    Raises
    ------
    InvalidOptions
        If a value is outside its range.

    Examples
    --------
    >>> mix = Mix(stems={"vocals": Track(mute=True), "drums": Track(gain_db=-6)})
    >>> Mix.from_dict(mix.to_dict()) == mix
    True
    >>> list(mix.heard(["vocals", "drums", "bass"]))
    ['drums', 'bass']
    """

    stems: Mapping[str, Track] = attrs.field(factory=dict)
    gain_db: float = _gain
    start_seconds: float = _seconds
    end_seconds: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.end_seconds is not None:
            _number(self.end_seconds, "end_seconds", 0.0, math.inf)
            if self.end_seconds <= self.start_seconds:
                raise _refuse("end_seconds", self.end_seconds, f"after the start at {self.start_seconds:g} s")

    def heard(self, names: Collection[str]) -> dict[str, Track]:
        """Return the tracks that sound, of the stems there are.

        Raises
        ------
        UnknownStem
            If the mix names a stem that is not there.
        """
        for name in self.stems:
            if name not in names:
                raise UnknownStem(
                    f"there is no stem {name!r}; there are " + ", ".join(names), stem=name, known=tuple(names)
                )
        tracks = {name: self.stems.get(name, Track()) for name in names}
        has_solo = any(track.solo for track in tracks.values())
        return {name: track for name, track in tracks.items() if not track.mute and (track.solo or not has_solo)}

    def to_dict(self) -> dict[str, Any]:
        """Return it in values that JSON can hold."""
        return attrs.asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Mix:
        """Return what a document describes; missing keys have their defaults.

        Raises
        ------
        InvalidOptions
            If there is a key that no mix has, or a value outside its range.
        """
        known = _checked(facts, cls, "mix")
        stems = known.pop("stems", {})
        if not isinstance(stems, Mapping):
            raise _refuse("stems", stems, "an object of tracks by stem name")
        return cls(stems={str(name): Track(**_checked(track, Track, name)) for name, track in stems.items()}, **known)


def _checked(facts: object, cls: type, name: str) -> dict[str, Any]:
    if not isinstance(facts, Mapping):
        raise _refuse(name, facts, "an object")
    known = [field.name for field in attrs.fields(cls)]
    for key in facts:
        if key not in known:
            raise InvalidOptions(f"{name} has no {key!r}; it has {', '.join(known)}", option=str(key), value=facts[key])
    return dict(facts)
