"""What an owner may do: sizes, durations, quotas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeAlias

import attrs

from isomix.errors import QuotaExceeded, TooLarge, TooLong, UnsupportedFormat

MIB = 1 << 20


@attrs.frozen(kw_only=True)
class Limits:
    """The limits of a tier. None means no limit.

    Parameters
    ----------
    tier : str
        What people call it.
    max_bytes : int or None
        Size of one upload.
    max_seconds : float or None
        Duration of one recording.
    formats : frozenset of str or None
        Kinds of audio that are taken, told by content.
    projects_per_month : int or None
        Uploads in one calendar month (UTC); deleting a project gives none back.
    concurrent_jobs : int or None
        Jobs that may be queued or running at once.
    retention_days : float or None
        Age at which `Studio.sweep` deletes a project.

    Examples
    --------
    >>> Limits(max_bytes=10).check_size(11)
    Traceback (most recent call last):
    isomix.errors.TooLarge: 11 bytes are more than the 10 that the tier allows (upload a smaller file, or move to a
    larger tier)
    """

    tier: str = "custom"
    max_bytes: int | None = None
    max_seconds: float | None = None
    formats: frozenset[str] | None = None
    projects_per_month: int | None = None
    concurrent_jobs: int | None = None
    retention_days: float | None = None

    def check_size(self, size_bytes: int) -> None:
        """Refuse more bytes than one upload may have.

        Raises
        ------
        TooLarge
            If it has more.
        """
        if self.max_bytes is not None and size_bytes > self.max_bytes:
            raise TooLarge(
                f"{size_bytes} bytes are more than the {self.max_bytes} that the tier allows",
                hint="upload a smaller file, or move to a larger tier",
                limit_bytes=self.max_bytes,
                actual_bytes=size_bytes,
            )

    def check_duration(self, seconds: float | None) -> None:
        """Refuse a recording that is too long; an unknown duration passes.

        Raises
        ------
        TooLong
            If it is longer.
        """
        if self.max_seconds is not None and seconds is not None and seconds > self.max_seconds:
            raise TooLong(
                f"{seconds:.1f} s are more than the {self.max_seconds:g} s that the tier allows",
                hint="upload a shorter recording, or move to a larger tier",
                limit_seconds=self.max_seconds,
                actual_seconds=seconds,
            )

    def check_kind(self, kind: str, name: str) -> None:
        """Refuse a kind of audio that the tier does not take.

        Raises
        ------
        UnsupportedFormat
            If it does not.
        """
        if self.formats is not None and kind not in self.formats:
            taken = ", ".join(sorted(self.formats))
            raise UnsupportedFormat(
                f"{name} is {kind} by its content; {taken} are taken", hint=f"convert it to one of {taken}", name=name
            )

    def check_projects(self, projects: int) -> None:
        """Refuse one more upload in this month.

        Raises
        ------
        QuotaExceeded
            If the month's uploads are used up.
        """
        _check_quota("projects_per_month", self.projects_per_month, projects, "wait for the next month")

    def check_jobs(self, active_jobs: int) -> None:
        """Refuse one more job beside those that are queued or running.

        Raises
        ------
        QuotaExceeded
            If as many are active as may be.
        """
        _check_quota("concurrent_jobs", self.concurrent_jobs, active_jobs, "wait until one has ended, or cancel one")


def _check_quota(quota: str, limit: int | None, used: int, remedy: str) -> None:
    if limit is not None and used >= limit:
        raise QuotaExceeded(
            f"{used} of {limit} {quota.replace('_', ' ')} are used",
            hint=f"{remedy}, or move to a larger tier",
            quota=quota,
            limit=limit,
            actual=used,
        )


UPLOAD_FORMATS = frozenset({"wav", "flac", "mp3"})

FREE = Limits(
    tier="free",
    max_bytes=50 * MIB,
    max_seconds=10 * 60,
    formats=UPLOAD_FORMATS,
    projects_per_month=10,
    concurrent_jobs=1,
    retention_days=7,
)
PRO = Limits(
    tier="pro",
    max_bytes=1024 * MIB,
    max_seconds=2 * 3600,
    formats=UPLOAD_FORMATS | {"ogg", "aiff", "mp4", "aac", "w64", "caf"},
    projects_per_month=500,
    concurrent_jobs=5,
    retention_days=90,
)
UNLIMITED = Limits(tier="unlimited")
"""What an embedding application has that names no limits: it is its own master."""

TIERS: Mapping[str, Limits] = {limits.tier: limits for limits in (UNLIMITED, FREE, PRO)}

LimitsOf: TypeAlias = Callable[[str], Limits]
"""Tells an owner's limits."""


def period_of(moment: datetime) -> str:
    """Return the month in which an upload counts, such as ``"2026-11"``."""
    return moment.strftime("%Y-%m")
