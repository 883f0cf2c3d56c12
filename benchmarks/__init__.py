"""Measurements: ``python -m benchmarks [NAME ...]``. Figures are ratios within one run; see docs/performance.md."""
