"""A worker, as others know of it."""

from __future__ import annotations

from datetime import datetime

import attrs


@attrs.frozen(kw_only=True)
class Worker:
    """A process that takes jobs.

    Parameters
    ----------
    id : str
        Itself: ``host/pid/random``.
    routes : tuple of str
        The routes it serves.
    seen_at : datetime
        When it last spoke up.
    job_id : str
        What it works on; empty if it waits.
    """

    id: str
    routes: tuple[str, ...]
    seen_at: datetime
    job_id: str = ""
