"""Weights: where they are kept, and how they get there."""
