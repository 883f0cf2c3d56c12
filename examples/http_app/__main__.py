"""Run it: ``python -m examples.http_app``, told by ``ISOMIX_*``, ``HOST`` and ``PORT``."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import uvicorn
from examples.http_app.app import create_app
from examples.http_app.auth import Keys
from examples.http_app.models import choose_model

from isomix import Studio


def main() -> None:
    """Serve until a signal comes; a job that runs in this process is given back to the queue."""
    keys = Keys.from_environment()
    model = os.environ.get("ISOMIX_MODEL") or choose_model()
    origins = [origin for origin in os.environ.get("ISOMIX_CORS_ORIGINS", "").split(",") if origin]
    host, port = os.environ.get("HOST") or "127.0.0.1", int(os.environ.get("PORT") or 8000)
    # uvicorn stops politely, and then raises the signal once more: the studio is to be closed after that too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), Studio.open(limits_of=keys.limits_of, model=model) as studio:
        app = create_app(studio, keys=keys, origins=origins, redirects=os.environ.get("ISOMIX_SIGNED_URLS") == "1")
        # No log of addresses, which may have keys in them; and no waiting for uploads that never end.
        uvicorn.run(app, host=host, port=port, access_log=False, timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main()
