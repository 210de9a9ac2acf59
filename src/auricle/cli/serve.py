"""`serve`: OpenAI's API, live voice and a web page, until it is told to stop."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.options import flag_groups
from auricle.serve.settings import ServeSettings


@dataclass(frozen=True)
class ServedModelFlags:
    """Which model answers, and where it runs."""

    model: Annotated[str, typer.Option("--model", "-m", help="mini (embedded), a directory, or a hub id.")] = "mini"
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a hub id.")] = None
    engine: Annotated[str, typer.Option("--engine", help="native or vllm.")] = "native"
    upstream: Annotated[
        list[str] | None,
        typer.Option("--upstream", help="URL of a running vLLM server that answers instead; may be repeated."),
    ] = None
    dtype: Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or auto.")] = "auto"
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, mps or auto.")] = "auto"
    batch_size: Annotated[int, typer.Option("--batch-size", help="How many windows of 30 s are answered at once.")] = 8
    cache_mb: Annotated[
        int | None, typer.Option("--cache-mb", help="To keep of recordings and conversations heard; 0 keeps nothing.")
    ] = None


@dataclass(frozen=True)
class AddressFlags:
    """Where the server listens, and for whom."""

    host: Annotated[str, typer.Option("--host", help="0.0.0.0 opens it to other machines.")] = "127.0.0.1"
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.")] = 8000
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", envvar="AURICLE_API_KEY", show_envvar=True, help="What clients must send."),
    ] = None
    allow_local_media: Annotated[
        Path | None, typer.Option("--allow-local-media", help="A directory that file: addresses may name files in.")
    ] = None
    page: Annotated[bool, typer.Option("--page/--no-page", help="The web page at /.")] = True


@dataclass(frozen=True)
class LimitFlags:
    """How much the server takes on."""

    max_upload_mb: Annotated[int, typer.Option("--max-upload-mb", help="Of one recording.")] = 1000
    max_body_mb: Annotated[int, typer.Option("--max-body-mb", help="Of any other request.")] = 64
    max_duration: Annotated[float, typer.Option("--max-duration", help="Of one recording, in seconds.")] = 4 * 3600
    max_concurrency: Annotated[int, typer.Option("--max-concurrency", help="Requests worked on at once.")] = 32
    max_queue: Annotated[int, typer.Option("--max-queue", help="Requests that wait; more are answered 429.")] = 256
    max_live: Annotated[int, typer.Option("--max-live", help="Live voice connections at once.")] = 32
    body_timeout: Annotated[
        float, typer.Option("--body-timeout", help="Seconds for a request's body, and one more for every 4000 bytes.")
    ] = 60
    decode_timeout: Annotated[
        float, typer.Option("--decode-timeout", help="Seconds of CPU time for decoding one recording.")
    ] = 120
    decode_memory_mb: Annotated[int, typer.Option("--decode-memory-mb", help="For decoding one recording.")] = 1024
    fetch_timeout: Annotated[
        float, typer.Option("--fetch-timeout", help="Seconds for fetching one recording by its address.")
    ] = 30
    drain_timeout: Annotated[
        float, typer.Option("--drain-timeout", help="Seconds that running requests have to finish after SIGTERM.")
    ] = 600


@flag_groups
def serve(context: typer.Context, model: ServedModelFlags, address: AddressFlags, limits: LimitFlags) -> None:
    """Serve OpenAI's API, live voice and a web page.

    SIGTERM and Ctrl-C finish what runs; a second one ends at once. With --engine vllm, flags after -- are vLLM's own,
    such as -- --tensor-parallel-size 2.
    """
    from auricle.serve.run import run_server

    settings = ServeSettings(
        model_name=Path(model.model).name if Path(model.model).is_dir() else model.model,
        host=address.host,
        port=address.port,
        api_key=address.api_key,
        allow_local_media=address.allow_local_media,
        page=address.page,
        max_upload_mb=limits.max_upload_mb,
        max_body_mb=limits.max_body_mb,
        max_duration_s=limits.max_duration,
        max_concurrency=limits.max_concurrency,
        max_queue=limits.max_queue,
        max_live=limits.max_live,
        drain_timeout_s=limits.drain_timeout,
        body_timeout_s=limits.body_timeout,
        decode_timeout_s=limits.decode_timeout,
        decode_memory_mb=limits.decode_memory_mb,
        fetch_timeout_s=limits.fetch_timeout,
    )
    has_finished = run_server(
        model.model,
        settings,
        engine=model.engine,
        dtype=model.dtype,
        device=model.device,
        batch_size=model.batch_size,
        revision=model.revision,
        upstreams=model.upstream or (),
        vllm_args=context.args,
        cache_mb=model.cache_mb,
    )
    if not has_finished:
        raise typer.Exit(1)
