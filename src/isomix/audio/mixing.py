"""Stems back into one recording: gains in dB, mute, solo."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from isomix.errors import UnknownStem


def linear_gains(
    names: Collection[str],
    gains_db: Mapping[str, float] | None = None,
    *,
    mute: Collection[str] = (),
    solo: Collection[str] = (),
) -> dict[str, float]:
    """Return the factor of every stem that is heard.

    Parameters
    ----------
    names : collection of str
        The stems there are.
    gains_db : mapping of str to float, optional
        Gain in dB; 0 for stems that are not named.
    mute : collection of str
        Stems that are silent, whatever else is said.
    solo : collection of str
        If any, only these are heard.

    Returns
    -------
    dict of str to float

    Raises
    ------
    UnknownStem
        If a name is not one of the stems.

    Examples
    --------
    >>> linear_gains(["vocals", "drums"], {"vocals": -20}, mute=["drums"])
    {'vocals': 0.1}
    """
    gains = gains_db or {}
    for name in (*gains, *mute, *solo):
        if name not in names:
            raise UnknownStem(
                f"there is no stem {name!r}; there are " + ", ".join(names), stem=name, known=tuple(names)
            )
    heard = [name for name in names if name not in mute and (not solo or name in solo)]
    return {name: 10.0 ** (gains.get(name, 0.0) / 20) for name in heard}
