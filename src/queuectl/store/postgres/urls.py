"""What a URL of libpq says, what of it may be shown, and what holds from any folder."""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode

import psycopg
from psycopg import conninfo

from queuectl.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SECRETS = (
    "password",
    "sslpassword",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
)
_FILES = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir")
_FILE_VARIABLES = (
    "PGPASSFILE",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLROOTCERT",
    "PGSSLCRL",
    "PGSSLCRLDIR",
)
_NO_FILE = ("", "system")


def parsed(url: str) -> dict[str, Any]:
    """What it says, by libpq's names; files by their whole path. Raises BadInput."""
    try:
        given: dict[str, Any] = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise BadInput(
            f"--db: {_complaint(error)}", "postgresql://USER@HOST:PORT/DATABASE"
        ) from None
    if _is_ambiguous(url, given):
        raise BadInput(
            "--db: it can't be parsed",
            "in a password @ is %40 and / is %2F; PGPASSFILE keeps it out of the URL",
        )
    for name in _FILES:
        if given.get(name, "") not in _NO_FILE:
            given[name] = os.path.abspath(given[name])
    return given


def lasting(url: str) -> str:
    """The same with files by their whole path: workers go from folder to folder."""
    given = parsed(url)
    if given == conninfo.conninfo_to_dict(url):
        return url
    return f"postgresql:///?{urlencode(given, quote_via=quote)}"


def keep_places() -> None:
    """The same for libpq's environment, for this process and those that it starts."""
    for name in _FILE_VARIABLES:
        path = os.environ.get(name, "")
        if path not in _NO_FILE and not os.path.isabs(path):
            os.environ[name] = os.path.abspath(path)


def secrets_of(given: dict[str, Any]) -> list[str]:
    """What must never be shown."""
    return [str(given[name]) for name in _SECRETS if given.get(name)]


def _is_ambiguous(url: str, given: dict[str, Any]) -> bool:
    """Whether a password that was not encoded stands where nobody looks for one."""
    place = url.partition("://")[2].partition("?")[0]
    user, at, _host = place.rpartition("@")
    hosts = str(given.get("host") or "").split(",")
    ports = str(given.get("port") or "").split(",")
    return (
        (bool(at) and "/" in user)
        or any("@" in host[1:] for host in hosts)  # @NAME is a socket without a file
        or any(port and not port.isdigit() for port in ports)
    )


def without_password(given: dict[str, Any]) -> str:
    """A URL of everything but the secrets, in one form however it was written."""
    rest = {k: v for k, v in given.items() if k not in _SECRETS and v is not None}
    user, host = rest.pop("user", ""), str(rest.pop("host", ""))
    port, name = rest.pop("port", ""), rest.pop("dbname", "")
    if "," in host or host.startswith("/"):
        rest |= {"host": host} | ({"port": port} if port else {})
        host = port = ""
    if ":" in host:
        host = f"[{host}]"
    place = (f"{quote(str(user), safe='')}@" if user else "") + host
    place += f":{port}" if port else ""
    options = f"?{urlencode(rest, quote_via=quote)}" if rest else ""
    return f"postgresql://{place}/{quote(str(name), safe='')}{options}"


def _complaint(error: psycopg.Error) -> str:
    """What is wrong with a URL; psycopg may quote the whole of it, password and all."""
    text: Any = str(error)
    return text.strip() if "invalid connection option" in text else "it can't be parsed"
