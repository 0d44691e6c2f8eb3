"""SIGTERM and SIGINT ask for a stop; the loops grant it at their next step boundary."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType

EXIT_RUN_AGAIN = 75  # sysexits.h EX_TEMPFAIL: the scheduler may start the same command again
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
STOPPING = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """While entered, the two signals set `received` and nothing else: no exception flies through a save."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> StopRequest:
        self._previous = {number: signal.signal(number, self._note) for number in STOPPING}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)  # a second one changes nothing

    @property
    def exit_status(self) -> int:
        """130 after Ctrl-C, 75 after SIGTERM (also where another process of the group received it)."""
        return EXIT_INTERRUPTED if self.received == signal.SIGINT else EXIT_RUN_AGAIN


def exit_at_once() -> None:
    """Outside a StopRequest nothing needs saving: from now on the two signals end the script where it stands.

    No exception tells it: in the middle of an import, libraries would turn that into an error of their own.
    """
    for number in STOPPING:
        signal.signal(number, _exit)


def ignore() -> None:
    """The script is at its end, with its exit status decided: signals come too late."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _exit(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT:
        os.write(2, b"interrupted\n")
    os._exit(EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_RUN_AGAIN)
