"""For tests of engines and applications."""
