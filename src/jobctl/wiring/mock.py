"""The mock OpenRouter, as `jobctl mock` and a bench serve it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jobctl.errors import InvalidOption, InvalidValue

if TYPE_CHECKING:
    from jobctl.apps.mock.behaviour import Behaviour
    from jobctl.apps.mock.catalog import Catalog
    from jobctl.core.service import Law

__all__ = ["make_behaviour", "make_catalog", "serve_mock"]


def serve_mock(
    *,
    host: str,
    port: int,
    latency: str,
    latency_of: Sequence[str],
    further: Sequence[str],
    faults: Sequence[str],
    rpm: int | None,
    tpm: int | None,
    seed: int,
    say: Callable[[str], None],
) -> None:
    """Serve the mock until a signal ends it.

    Args:
        host: Address to listen on.
        port: Port; 0 picks a free one.
        latency: A latency law, ``file:PATH`` or ``openrouter``.
        latency_of: ``MODEL=LAW`` each, of models with a law of their own.
        further: Ids of models to serve besides.
        faults: ``KIND=P`` each.
        rpm: Requests a minute; None for no limit.
        tpm: Tokens a minute likewise.
        seed: Seed of latencies and faults.
        say: Takes the line that says where it listens.

    Raises:
        InvalidOption: A value means nothing, or the address cannot be had.
    """
    from jobctl import settings
    from jobctl.adapters.http_server import serve
    from jobctl.adapters.listening import listen
    from jobctl.apps.mock.server import create_app

    catalog = make_catalog(further)
    behaviour = make_behaviour(latency, faults, seed, latency_of, catalog)
    socket = listen(host, port)
    bound_host, bound_port = socket.getsockname()[:2]
    shown = f"[{bound_host}]" if ":" in bound_host else bound_host
    say(f"jobctl mock: listening on http://{shown}:{bound_port}/api/v1 (latency {latency}, seed {seed})")
    serve(create_app(behaviour, rpm=rpm, tpm=tpm, control=settings.mock_control(), catalog=catalog), socket)


def make_catalog(further: Sequence[str]) -> Catalog:
    """The models that a mock serves.

    Args:
        further: Ids of models to serve besides its own.

    Raises:
        InvalidOption: One is no id.
    """
    from jobctl.apps.mock.catalog import Catalog

    try:
        return Catalog(further)
    except InvalidValue as error:
        raise InvalidOption("--serve-model", error.problem, error.remedy) from None


def make_behaviour(
    latency: str, faults: Sequence[str], seed: int, latency_of: Sequence[str], catalog: Catalog
) -> Behaviour:
    """How a mock answers, as `jobctl mock` is told.

    Args:
        latency: A latency law, ``file:PATH`` or ``openrouter``.
        faults: ``KIND=P`` each.
        seed: Seed of latencies and faults.
        latency_of: ``MODEL=LAW`` each, of models with a law of their own.
        catalog: The models that are served.

    Raises:
        InvalidOption: A value means nothing.
    """
    from jobctl.apps.mock.behaviour import Behaviour, parse_faults

    law = _latency_law(latency)
    laws = dict(_model_law(text, catalog) for text in latency_of)
    try:
        return Behaviour(law, parse_faults(faults), seed, laws)
    except InvalidValue as error:
        raise InvalidOption("--fault", error.problem, error.remedy) from None


def _model_law(text: str, catalog: Catalog) -> tuple[str, Law]:
    model, _, law = text.partition("=")
    found = catalog.find(model)
    if found is None:
        raise InvalidOption(
            "--latency-of", f"there is no model {model!r}", "give MODEL=LAW, a model of GET /models or of --serve-model"
        )
    return found.id, _latency_law(law, "--latency-of")


def _latency_law(text: str, option: str = "--latency") -> Law:
    from jobctl.adapters.files import read_lines
    from jobctl.core.service import parse_law, parse_values

    try:
        if text.startswith("file:"):
            path = text.removeprefix("file:")
            return parse_values(read_lines(path, option), path)
        return parse_law(text)
    except InvalidOption:
        raise
    except InvalidValue as error:
        raise InvalidOption(option, error.problem, error.remedy) from None
