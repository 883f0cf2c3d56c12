"""Decoding ahead."""

import threading

import pytest

from isomix.audio.prefetch import prefetch


def test_items_come_in_order_and_whole():
    """Everything that the generator yields comes out, in order."""
    assert list(prefetch(i for i in range(100))) == list(range(100))


def test_only_a_few_items_run_ahead():
    """The generator never gets more than the allowed number of items ahead of its reader."""
    made = []
    reader = prefetch((made.append(i) or i for i in range(100)), ahead=2)
    next(reader)
    reader.close()
    assert len(made) <= 3 + 1


def test_errors_come_after_the_items_before_them():
    """An error of the generator is raised where it happened, after what came before."""

    def items():
        yield 1
        yield 2
        raise OSError("gone")

    reader = prefetch(items())
    assert [next(reader), next(reader)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(reader)


def test_closing_closes_the_generator_and_ends_the_thread():
    """A reader that stops early leaves neither an open generator nor a thread."""
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    reader = prefetch(items())
    next(reader)
    reader.close()
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("isomix-decoder")]
