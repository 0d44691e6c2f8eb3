"""SIGTERM and SIGINT ask for a stop; the loops grant it at their next step boundary."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

EXIT_RUN_AGAIN = 75  # sysexits.h EX_TEMPFAIL: the scheduler may start the same command again
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


class StopRequest:
    """While entered, the two signals set `received` and nothing else: no exception flies through a save."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> StopRequest:
        self._previous = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)

    @property
    def exit_status(self) -> int:
        """130 after Ctrl-C, 75 after SIGTERM (also where another process of the group received it)."""
        return EXIT_INTERRUPTED if self.received == signal.SIGINT else EXIT_RUN_AGAIN
