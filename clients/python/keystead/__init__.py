"""The secrets of the pod this program runs in, as Keystead's sidecar has them.

They are asked of its Unix socket, or read from its files: blocking, with the standard library alone, and
never further than the pod itself.

    from keystead import Secrets, NotFound

    secrets = Secrets()
    try:
        key = secrets.get("hubspot", "api_key").value
    except NotFound as why:
        print(why)
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Iterator, Optional
from urllib.parse import quote

__all__ = [
    "AccessDenied",
    "Error",
    "NotFound",
    "Scope",
    "Secret",
    "Secrets",
    "Unavailable",
    "Unreadable",
]

FOLDER = "/keystead"
"""Where the files and the socket are in a pod, unless the variable `FOLDER_ENV` says otherwise."""

FOLDER_ENV = "KEYSTEAD_FILES_DIR"
"""The variable of a container that has them elsewhere."""

_SOCKET = ".socket"
_DEADLINE = 10.0
_LONGEST = 8 << 20


class Error(Exception):
    """Why there is no value: a sentence."""


class NotFound(Error):
    """No scope has it, or no binding shows it."""


class AccessDenied(Error):
    """Access was taken away."""


class Unavailable(Error):
    """The sidecar does not have the secrets yet, or is not there. Another try may help."""


class Unreadable(Error):
    """The answer is not one of Keystead's."""


@dataclass(frozen=True)
class Scope:
    """Whose value it is."""

    level: str
    id: Optional[str] = None


@dataclass(frozen=True)
class Secret:
    """A value, as the sidecar has it now. Its representation says nothing of the value."""

    value: str = field(repr=False)
    scope: Optional[Scope] = None
    version: Optional[int] = None
    expires_at: Optional[str] = None


class Secrets:
    """The secrets of one pod: in this folder, else in that of the variable `FOLDER_ENV`, else in `FOLDER`."""

    def __init__(self, folder: Optional[str] = None) -> None:
        self._folder = folder or os.environ.get(FOLDER_ENV) or FOLDER

    def get(self, service: str, key: str) -> Secret:
        """The value of a service's key, or of a key at an existing path."""
        found = self._ask(f"/{quote(service, safe='/')}/{quote(key, safe='')}")
        scope = found.get("scope")
        return Secret(
            value=found["value"],
            scope=Scope(scope["level"], scope.get("id")) if scope else None,
            version=found.get("version"),
            expires_at=found.get("expiresAt"),
        )

    def list(self) -> list[dict[str, str]]:
        """Everything that the pod's bindings show, without values: `service` or `path`, and `key`."""
        return self._ask("")["secrets"]

    def read(self, file: str) -> str:
        """What a file of the binding holds, named as the binding names it."""
        if os.path.isabs(file) or not all(part not in ("", ".", "..") for part in file.split("/")):
            raise NotFound(f"{file} is no file of a binding: name it as the binding does")
        path = os.path.join(self._folder, file)
        try:
            with open(path, encoding="utf-8", newline="") as opened:
                return opened.read()
        except FileNotFoundError as error:
            raise NotFound(str(error)) from None
        except PermissionError as error:
            raise AccessDenied(str(error)) from None
        except UnicodeDecodeError:
            raise Unreadable(f"{path} is not UTF-8 text: open it as bytes") from None
        except OSError as error:
            raise Unavailable(str(error)) from None

    def watch(self, service: str, key: str, every: float = 1.0) -> Iterator[Secret | Error]:
        """The value now, and again whenever it changes; asks the sidecar every so many seconds, give or
        take a tenth. That there is no such value any more, or no access to it, is told once, as an
        `Error`, and so is its return. A sidecar that is away for a while is waited for in silence."""
        told: Any = None
        while True:
            try:
                now: Secret | Error = self.get(service, key)
                state: Any = now
            except Unavailable:
                state = None
            except Error as error:
                now, state = error, type(error)
            if state is not None and state != told:
                told = state
                yield now
            time.sleep(every * random.uniform(0.9, 1.1))

    def _ask(self, place: str) -> dict[str, Any]:
        path = os.path.join(self._folder, _SOCKET)
        connection = _Connection(path)
        try:
            connection.request("GET", "/v1/secrets" + place)
            answer = connection.getresponse()
            status, body = answer.status, answer.read(_LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no answer from Keystead's sidecar at {path}: {error}") from None
        finally:
            connection.close()
        try:
            said = json.loads(body)
            if status == 200:
                return said
            message = said["message"]
        except (ValueError, KeyError, TypeError):
            # The parser's own words could have a piece of the value in them.
            raise Unreadable("the sidecar gave an answer that can't be read") from None
        raise {403: AccessDenied, 404: NotFound, 503: Unavailable}.get(status, Unreadable)(message)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("keystead", timeout=_DEADLINE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
