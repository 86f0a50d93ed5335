"""``jobctl mock``: an OpenRouter of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from jobctl.cli.options import Port, Seed, parser
from jobctl.core.service import DEFAULT_LATENCY
from jobctl.core.units import parse_whole

__all__ = ["mock"]


def mock(
    port: Port = 8400,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    latency: Annotated[
        str,
        typer.Option(
            "--latency",
            metavar="LAW",
            help="How long answers take: lognormal:mean=1s,p95=2s, constant:200ms, exponential:1s, "
            "gamma:mean=1s,scv=2, file:PATH (one duration a line), or openrouter.",
        ),
    ] = DEFAULT_LATENCY,
    latency_of: Annotated[
        list[str] | None,
        typer.Option("--latency-of", metavar="MODEL=LAW", help="A law of one model alone, repeatable."),
    ] = None,
    serve_model: Annotated[
        list[str] | None,
        typer.Option(
            "--serve-model",
            metavar="AUTHOR/SLUG",
            help="Another model to serve, repeatable: 200k tokens of context, 1 and 4 USD per million tokens.",
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="KIND=P",
            help="Fault and its probability, repeatable: 402, budget, 403, moderation, 408, 429, 500, 502, 503, "
            "midstream, disconnect, slow, embedded.",
        ),
    ] = None,
    rpm: Annotated[
        int | None, typer.Option("--rpm", parser=parser(parse_whole), metavar="N", help="Requests that any 60 s admit.")
    ] = None,
    tpm: Annotated[
        int | None, typer.Option("--tpm", parser=parser(parse_whole), metavar="N", help="Tokens that any 60 s admit.")
    ] = None,
    seed: Seed = 1,
) -> None:
    """Serve OpenRouter's API on this machine, with the latencies, limits and faults of your choice.

    Any key sk-or-... is accepted unless it says "bad" or "invalid". A single call asks for a fault with the header
    X-Mock-Fault: KIND (X-Mock-Slow-Ms and X-Mock-Retry-After tune it).
    """
    from jobctl.wiring.mock import serve_mock

    serve_mock(
        host=host,
        port=port,
        latency=latency,
        latency_of=latency_of or [],
        further=serve_model or [],
        faults=fault or [],
        rpm=rpm,
        tpm=tpm,
        seed=seed,
        say=typer.echo,
    )
