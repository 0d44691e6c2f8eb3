"""A1 to A3: bombs, wrong types, too many and too large files, many sessions; names that are HTML; the address, XSRF."""

from __future__ import annotations

import concurrent.futures
import socket
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

MEGABYTE = 2**20


def memory(server: str) -> int:
    """Resident bytes of the process that listens at the address; Linux only."""
    return int(next(line for line in status(server) if line.startswith("VmRSS")).split()[1]) * 1024


def status(server: str) -> list[str]:
    port = f"{urlsplit(server).port:04X}"
    inode = next(line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
                 if line.split()[1].endswith(f":{port}") and line.split()[3] == "0A")  # fmt: skip
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(link.readlink().as_posix() == f"socket:[{inode}]" for link in folder.iterdir()):
                return (folder.parent / "status").read_text().splitlines()
        except OSError:
            continue
    raise AssertionError("nobody listens")


def test_a_gigabyte_sent_past_the_page_is_refused_and_takes_no_memory(server: str) -> None:
    before = memory(server)
    where = urlsplit(server)
    head = f"PUT /_stcore/upload_file/s/f HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {2**30}\r\n\r\n"
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=5) as connection:
        connection.sendall(head.encode())
        try:
            for _ in range(64):
                connection.sendall(b"\0" * MEGABYTE)
            answer = connection.recv(64)
        except (ConnectionError, TimeoutError):
            answer = b""
    assert b" 200 " not in answer and b" 204 " not in answer
    assert memory(server) - before < 200 * MEGABYTE


def test_an_upload_without_its_token_is_forbidden(server: str) -> None:
    request = urllib.request.Request(f"{server}/_stcore/upload_file/session/file", b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=5)
    assert error.value.code == 403


def test_it_listens_on_this_machine_alone(server: str) -> None:
    port = urlsplit(server).port
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"]
    six = Path("/proc/net/tcp6")
    listening += [line.split()[1] for line in six.read_text().splitlines()[1:] if line.split()[3] == "0A"] if six.exists() else []
    assert [place for place in listening if place.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_sessions_at_once_are_answered(server: str) -> None:
    def ask(_: int) -> bytes:
        return bytes(urllib.request.urlopen(f"{server}/_stcore/health", timeout=10).read())

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert set(pool.map(ask, range(100))) == {b"ok"}
