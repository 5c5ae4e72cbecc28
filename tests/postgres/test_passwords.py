"""A password that stands in the URL: whoever works needs it, nobody else sees it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Cli
from postgres_server import PostgresServer

SECRET = "s3cret"  # noqa: S105


@pytest.fixture
def url(server: PostgresServer, database: str) -> Iterator[str]:
    """Of a role that gets in by its password only."""
    role = f"r{database}"
    server.run_sql(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{SECRET}'")
    server.require_password(role)
    yield server.url(database, role).replace(f"{role}@", f"{role}:{SECRET}@")
    server.drop_database(database)
    server.run_sql(f"DROP ROLE {role}")


def told_to_processes() -> list[str]:
    """The arguments of all there are."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_text(errors="replace"))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("by", ["option", "environment"])
def test_workers_have_the_password_of_the_url_and_their_jobs_have_not(
    cli: Cli, url: str, by: str
) -> None:
    words, env = (["--db", url], {}) if by == "option" else ([], {"QUEUECTL_DB": url})
    cli.ok("enqueue", *words, "echo $QUEUECTL_DB; env", env=env)
    ended = cli("worker", "start", *words, "--drain", env=env)
    assert (ended.code, SECRET in ended.out + ended.err) == (0, False)
    output = cli.ok("logs", *words, "j1", env=env)
    assert output.startswith("postgresql://")
    assert SECRET not in output


def test_no_argument_of_workers_in_the_background_tells_the_password(
    cli: Cli, url: str
) -> None:
    cli.ok("--db", url, "worker", "start", "--detach")
    try:
        assert not [line for line in told_to_processes() if SECRET in line]
        assert SECRET not in cli.ok("--db", url, "worker", "list", "--json")
    finally:
        cli.ok("--db", url, "worker", "stop")


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_password_file_is_found_from_whatever_folder_a_worker_is_in(
    cli: Cli, server: PostgresServer, database: str, url: str, by: str
) -> None:
    role = f"r{database}"
    passwords = cli.work / "passwords"
    passwords.write_text(f"127.0.0.1:{server.port}:*:{role}:{SECRET}\n")
    passwords.chmod(0o600)
    plain = url.replace(f":{SECRET}@", "@")
    env = {"QUEUECTL_DB": plain, "PGPASSFILE": passwords.name}
    if by == "option":
        env = {"QUEUECTL_DB": f"{plain}?passfile={passwords.name}"}
    command = f"{sys.executable} -m queuectl list --json"
    cli.ok("enqueue", "--cwd", "/", command, "--id", "inner", env=env)
    cli.ok("worker", "start", "--detach", env=env)
    try:
        cli.ok("wait", "inner", env=env)
        assert '"inner"' in cli.ok("logs", "inner", env=env)
    finally:
        cli.ok("worker", "stop", env=env)
