"""A PostgreSQL server of its own, where its programs are on this machine."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a new server, whose user ``writer`` may do all and has the password ``se@cret``."""
    found = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if found is None:
        pytest.skip("no PostgreSQL server on this machine (initdb)")
    programs, user = Path(found).resolve().parent, _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        (folder / "password").write_text("se@cret")
        (folder / "password").chmod(0o644)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def run(*command: str) -> None:
            subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

        init = ("-D", "data", "-U", "writer", "-A", "scram-sha-256", "--pwfile", "password", "-E", "UTF8", "--no-sync")
        run(str(programs / "initdb"), *init)
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        run(str(programs / "pg_ctl"), "-D", "data", "-l", "log", "-w", "-o", options, "start")
        try:
            yield f"postgresql://writer@127.0.0.1:{port}/postgres"
        finally:
            run(str(programs / "pg_ctl"), "-D", "data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


def _unprivileged() -> str | None:
    """Who runs the server: it refuses root."""
    if os.geteuid():
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
