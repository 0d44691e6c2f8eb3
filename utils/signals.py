"""Handle SIGTERM and SIGINT: inside a loop they request a stop after the current step, elsewhere they end the script."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType

EXIT_RUN_AGAIN = 75  # sysexits.h EX_TEMPFAIL: the scheduler may start the same command again
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
STOPPING = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """A context in which SIGTERM and SIGINT only set `received`, so that no exception interrupts a save.

    Only the main thread of a process can handle signals: in any other thread the context changes nothing.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> StopRequest:
        main = threading.current_thread() is threading.main_thread()
        self._previous = {number: signal.signal(number, self._note) for number in STOPPING} if main else {}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)  # only the first signal counts

    @property
    def exit_status(self) -> int:
        """The exit status: 130 after Ctrl-C; 75 after SIGTERM, also if another process of the group received it."""
        return EXIT_INTERRUPTED if self.received == signal.SIGINT else EXIT_RUN_AGAIN


def exit_at_once() -> None:
    """Let SIGTERM and SIGINT end the script at once from now on, outside a StopRequest: there is nothing to save.

    The handler raises no exception, since libraries turn one that comes during an import into an error of their own.
    """
    for number in STOPPING:
        signal.signal(number, _exit)


def ignore() -> None:
    """Ignore SIGTERM and SIGINT from now on: the script is about to exit with a status that is decided."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _exit(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT:
        os.write(2, b"interrupted\n")
    os._exit(EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_RUN_AGAIN)
