"""Processes that must not outlive the one that started them."""

from __future__ import annotations

import os
import signal
import threading
import time


def end_with_parent() -> None:
    """Sends this process SIGTERM soon after the one that started it is gone: nobody else could stop it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
