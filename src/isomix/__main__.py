"""``python -m isomix``."""

from isomix.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
