"""`auricle serve`: an address, a model, and a server until it is told to stop."""

import ctypes
import errno
import logging
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from auricle.errors import UserError
from auricle.serve.settings import ServeSettings

if TYPE_CHECKING:
    from auricle.engines import Service

_LOG = logging.getLogger(__name__)
_M_ARENA_MAX = -8  # glibc's malloc.h
_NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def run_server(
    model: str | Path,
    settings: ServeSettings,
    *,
    engine: str = "native",
    dtype: str = "auto",
    device: str = "auto",
    batch_size: int = 8,
    revision: str | None = None,
    upstreams: Sequence[str] = (),
    vllm_args: Sequence[str] = (),
    cache_mb: int | None = None,
) -> bool:
    """Serve until a signal; whether all requests were finished then.

    Args:
        model: `mini`, a checkpoint directory or a hub id.
        settings: where to listen, for whom, how much.
        engine, dtype, device, batch_size, revision, upstreams, vllm_args, cache_mb: as for `engines.open_service`.

    Raises:
        UserError: a library is missing, the address cannot be listened on, or the model cannot be opened.
    """
    _require_installed(settings)
    _log_to_stderr()
    _share_memory_among_threads()
    _open_more_files()
    with listen(settings) as sock:
        from auricle.engines.open import open_service

        service = open_service(
            model,
            engine=engine,
            dtype=dtype,
            device=device,
            batch_size=batch_size,
            revision=revision,
            upstreams=upstreams,
            vllm_args=vllm_args,
            cache_mb=cache_mb,
        )
        return serve(service, settings, sock)


def serve(service: "Service", settings: ServeSettings, sock: socket.socket) -> bool:
    """Serve with an engine that is open already, and close it at the end; whether all requests were finished then."""
    from auricle.serve.app import create_app
    from auricle.serve.gateway import Gateway
    from auricle.serve.run_server import Server

    warn_of_strangers(settings)
    gateway = Gateway(service, settings)
    try:
        gateway.decoder.start()
        server = Server(gateway, create_app(gateway))
        server.run(sockets=[sock])
    finally:
        gateway.close()
    return server.has_finished


def listen(settings: ServeSettings) -> socket.socket:
    """A socket at the address; it takes connections once the server does.

    Raises:
        UserError: the port is taken or not allowed, or the host is none of this machine's.
    """
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UserError(f"--host {host} is no address; expected one of this machine, such as 127.0.0.1") from None
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two servers have one port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} of {host} is taken; stop what listens there, or take another --port"
            ) from None
        if error.errno == errno.EACCES:
            raise UserError(f"port {port} is not open to this user; take a --port above 1023") from None
        raise UserError(f"cannot listen on --host {host}: {error.strerror}; expected one of this machine") from None
    return sock


def warn_of_strangers(settings: ServeSettings) -> None:
    """Say so where anyone who reaches the machine may use the server."""
    from auricle.serve.guard.keys import is_loopback

    if settings.api_key is None and not is_loopback(settings.host):
        _LOG.warning(
            "ANYONE WHO REACHES %s MAY USE THIS SERVER: it has no key; set AURICLE_API_KEY or --api-key", settings.host
        )


def _require_installed(settings: ServeSettings) -> None:
    for name in (*_NEEDED, *(("gradio",) if settings.page else ())):
        if find_spec(name) is None:
            raise UserError(f"auricle serve needs {name}, which is not installed; pip install 'auricle[serve]'")


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("auricle").setLevel(logging.INFO)


def _open_more_files() -> None:
    """As many as this user may: every connection is one, and 1024, the usual soft limit, are few."""
    with suppress(ImportError, ValueError, OSError):  # macOS names a hard limit that it does not grant
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _share_memory_among_threads() -> None:
    """Two heaps for all threads: glibc gives each of the first dozens its own and keeps what each once took.

    A hundred request threads that each made one spectrogram held 1.5 GB so (64 clients, mini).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
