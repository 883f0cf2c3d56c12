"""The progress event and the cancel token."""

from __future__ import annotations

import threading

import attrs
import pytest

from isomix.domain.progress import CancelToken, Progress
from isomix.errors import SeparationCancelled


def test_an_event_is_a_value():
    """Events are frozen and equal by content."""
    event = Progress(phase="separate", fraction=0.5)
    assert event == Progress(phase="separate", fraction=0.5)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.fraction = 1.0


def test_a_fresh_token_lets_work_go_on():
    """Before `cancel` nothing is raised."""
    token = CancelToken()
    token.check()
    assert not token.cancelled


def test_another_thread_can_cancel():
    """What one thread cancels, another hears; asking twice is harmless."""
    token = CancelToken()
    for _ in range(2):
        thread = threading.Thread(target=token.cancel)
        thread.start()
        thread.join()
    assert token.cancelled
    with pytest.raises(SeparationCancelled):
        token.check()
