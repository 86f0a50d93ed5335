"""Models that the mock serves: real ids, context lengths and prices of 2026, as OpenRouter lists them.

Prices are decimal strings in USD per token. What matters to a client under test is the shape and the order of
magnitude; the figures are not kept up to date. Further ids can be served at a middling price.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from jobctl.errors import InvalidValue

__all__ = ["CATALOG", "EMBEDDINGS", "MAX_COMPLETION_TOKENS", "TEXT", "Catalog", "Model"]

#: Variants that choose among a model's providers or add to a call; ``:free`` is a model of its own.
_VARIANTS: Final = frozenset({"nitro", "floor", "online", "thinking", "extended", "exacto"})
_FREE: Final = ":free"
#: The longest answer of every model, in tokens.
MAX_COMPLETION_TOKENS: Final = 16384
#: What a model makes, in OpenRouter's words.
TEXT: Final = "text"
EMBEDDINGS: Final = "embeddings"
#: A further model: an id that OpenRouter may have, its context, and its prices: 1 and 4 USD per million tokens.
_FURTHER_ID: Final = re.compile(r"\w[\w.-]*/\w[\w.-]*(:[\w.-]+)?", re.ASCII)
_FURTHER_CONTEXT: Final = 200_000
_FURTHER_PRICES: Final = ("0.000001", "0.000004")
_FURTHER_CREATED: Final = 1767225600


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    Attributes:
        id: ``author/slug``.
        name: As shown to people.
        context_length: Tokens of prompt and answer together.
        prompt_price: USD per prompt token, a decimal string.
        completion_price: USD per completion token, a decimal string.
        provider: Who serves it.
        created: When it was added, unix seconds.
        outputs: What it makes.
        dimensions: The length of its vectors, if it makes embeddings.
    """

    id: str
    name: str
    context_length: int
    prompt_price: str
    completion_price: str
    provider: str
    created: int
    outputs: tuple[str, ...] = (TEXT,)
    dimensions: int = 1536

    @property
    def is_free(self) -> bool:
        """Whether it is a free variant, which costs nothing and has the account's free limits."""
        return self.id.endswith(_FREE)

    @property
    def provider_slug(self) -> str:
        """The provider's name as ids have it."""
        return self.provider.lower().replace(".", "")

    def to_document(self) -> dict[str, Any]:
        """The entry of ``GET /models``."""
        return {
            "id": self.id,
            "canonical_slug": self.id.removesuffix(_FREE),
            "hugging_face_id": None,
            "name": self.name,
            "created": self.created,
            "description": f"{self.name}, as served by {self.provider}.",
            "context_length": self.context_length,
            "architecture": {
                "modality": f"text->{'+'.join(self.outputs)}",
                "input_modalities": ["text"],
                "output_modalities": list(self.outputs),
                "tokenizer": "Other",
                "instruct_type": None,
            },
            "pricing": {"prompt": self.prompt_price, "completion": self.completion_price, "request": "0", "image": "0"},
            "top_provider": {
                "context_length": self.context_length,
                "max_completion_tokens": MAX_COMPLETION_TOKENS,
                "is_moderated": self.provider == "OpenAI",
            },
            "per_request_limits": None,
            "supported_parameters": [
                *("max_tokens", "temperature", "top_p", "stop", "seed"),
                *("tools", "tool_choice", "response_format", "structured_outputs"),
            ]
            if TEXT in self.outputs
            else [],
            "default_parameters": None,
            "supported_voices": None,
            "links": {"details": f"/api/v1/models/{self.id}/endpoints"},
        }


_PAID: Final[tuple[Model, ...]] = (
    Model("openai/gpt-4o-mini", "OpenAI: GPT-4o-mini", 128000, "0.00000015", "0.0000006", "OpenAI", 1721260800),
    Model("openai/gpt-4o", "OpenAI: GPT-4o", 128000, "0.0000025", "0.00001", "OpenAI", 1715558400),
    Model("openai/gpt-4.1", "OpenAI: GPT-4.1", 1047576, "0.000002", "0.000008", "OpenAI", 1744651385),
    Model("openai/gpt-4.1-mini", "OpenAI: GPT-4.1 Mini", 1047576, "0.0000004", "0.0000016", "OpenAI", 1744651381),
    Model("openai/gpt-5", "OpenAI: GPT-5", 400000, "0.00000125", "0.00001", "OpenAI", 1754587413),
    Model("openai/gpt-5-mini", "OpenAI: GPT-5 Mini", 400000, "0.00000025", "0.000002", "OpenAI", 1754587407),
    Model("openai/gpt-oss-120b", "OpenAI: gpt-oss-120b", 131072, "0.00000005", "0.00000025", "DeepInfra", 1754414231),
    Model(
        "anthropic/claude-sonnet-4.5",
        "Anthropic: Claude Sonnet 4.5",
        1000000,
        "0.000003",
        "0.000015",
        "Anthropic",
        1759161676,
    ),
    Model(
        "anthropic/claude-haiku-4.5",
        "Anthropic: Claude Haiku 4.5",
        200000,
        "0.000001",
        "0.000005",
        "Anthropic",
        1760547638,
    ),
    Model(
        "anthropic/claude-opus-4.1",
        "Anthropic: Claude Opus 4.1",
        200000,
        "0.000015",
        "0.000075",
        "Anthropic",
        1754411591,
    ),
    Model(
        "google/gemini-2.5-flash", "Google: Gemini 2.5 Flash", 1048576, "0.0000003", "0.0000025", "Google", 1750172488
    ),
    Model(
        "google/gemini-2.5-flash-lite",
        "Google: Gemini 2.5 Flash Lite",
        1048576,
        "0.0000001",
        "0.0000004",
        "Google",
        1753200276,
    ),
    Model("google/gemini-2.5-pro", "Google: Gemini 2.5 Pro", 1048576, "0.00000125", "0.00001", "Google", 1750169544),
    Model(
        "deepseek/deepseek-chat-v3.1",
        "DeepSeek: DeepSeek V3.1",
        163840,
        "0.0000002",
        "0.0000008",
        "DeepInfra",
        1755779628,
    ),
    Model("deepseek/deepseek-r1-0528", "DeepSeek: R1 0528", 163840, "0.0000004", "0.00000175", "DeepInfra", 1748455170),
    Model(
        "meta-llama/llama-3.3-70b-instruct",
        "Meta: Llama 3.3 70B Instruct",
        131072,
        "0.00000013",
        "0.00000038",
        "DeepInfra",
        1733506137,
    ),
    Model(
        "meta-llama/llama-3.1-8b-instruct",
        "Meta: Llama 3.1 8B Instruct",
        131072,
        "0.00000002",
        "0.00000003",
        "DeepInfra",
        1721692800,
    ),
    Model(
        "mistralai/mistral-small-3.2-24b-instruct",
        "Mistral: Mistral Small 3.2 24B",
        131072,
        "0.00000006",
        "0.00000018",
        "Mistral",
        1750443016,
    ),
    Model(
        "qwen/qwen3-235b-a22b-2507",
        "Qwen: Qwen3 235B A22B Instruct 2507",
        262144,
        "0.00000008",
        "0.00000055",
        "DeepInfra",
        1753119555,
    ),
    Model("x-ai/grok-4-fast", "xAI: Grok 4 Fast", 2000000, "0.0000002", "0.0000005", "xAI", 1758240090),
    Model("z-ai/glm-4.6", "Z.AI: GLM 4.6", 204800, "0.0000004", "0.00000175", "Z.AI", 1759235576),
    Model(
        "moonshotai/kimi-k2-0905",
        "MoonshotAI: Kimi K2 0905",
        262144,
        "0.00000039",
        "0.0000019",
        "DeepInfra",
        1757021147,
    ),
    Model("openai/gpt-5.1", "OpenAI: GPT-5.1", 400000, "0.00000125", "0.00001", "OpenAI", 1762992000),
    Model("openai/gpt-5.4", "OpenAI: GPT-5.4", 1050000, "0.0000025", "0.000015", "OpenAI", 1772668800),
    Model("openai/gpt-5.4-mini", "OpenAI: GPT-5.4 Mini", 400000, "0.00000075", "0.0000045", "OpenAI", 1773705600),
    Model("openai/gpt-5.6-luna", "OpenAI: GPT-5.6 Luna", 1050000, "0.0000002", "0.0000012", "OpenAI", 1783555200),
    Model(
        "anthropic/claude-sonnet-4.6",
        "Anthropic: Claude Sonnet 4.6",
        1000000,
        "0.000003",
        "0.000015",
        "Anthropic",
        1771286400,
    ),
    Model(
        "anthropic/claude-sonnet-5",
        "Anthropic: Claude Sonnet 5",
        1000000,
        "0.000002",
        "0.00001",
        "Anthropic",
        1782777600,
    ),
    Model(
        "anthropic/claude-opus-5", "Anthropic: Claude Opus 5", 1000000, "0.000005", "0.000025", "Anthropic", 1784851200
    ),
    Model(
        "google/gemini-3-flash-preview",
        "Google: Gemini 3 Flash Preview",
        1048576,
        "0.0000005",
        "0.000003",
        "Google",
        1765929600,
    ),
    Model(
        "google/gemini-3.8-flash", "Google: Gemini 3.8 Flash", 1048576, "0.00000075", "0.00000375", "Google", 1788307200
    ),
    Model(
        "deepseek/deepseek-v3.2", "DeepSeek: DeepSeek V3.2", 163840, "0.00000026", "0.00000038", "DeepInfra", 1764547200
    ),
    Model("x-ai/grok-4.5", "xAI: Grok 4.5", 500000, "0.000002", "0.000006", "xAI", 1783468800),
    Model("z-ai/glm-5.3", "Z.AI: GLM 5.3", 1048576, "0.0000014", "0.0000044", "Z.AI", 1786665600),
    Model("moonshotai/kimi-k3", "MoonshotAI: Kimi K3", 1048576, "0.000003", "0.000015", "DeepInfra", 1784160000),
)
#: Models that make embeddings: id, name, context, price, provider, length of a vector.
_VECTORS: Final = (
    ("openai/text-embedding-3-small", "OpenAI: Text Embedding 3 Small", 8192, "0.00000002", "OpenAI", 1536),
    ("openai/text-embedding-3-large", "OpenAI: Text Embedding 3 Large", 8192, "0.00000013", "OpenAI", 3072),
    ("openai/text-embedding-ada-002", "OpenAI: Text Embedding Ada 002", 8192, "0.0000001", "OpenAI", 1536),
    ("google/gemini-embedding-001", "Google: Gemini Embedding 001", 20000, "0.00000015", "Google", 3072),
    ("qwen/qwen3-embedding-8b", "Qwen: Qwen3 Embedding 8B", 32768, "0.00000001", "DeepInfra", 4096),
    ("baai/bge-m3", "BAAI: bge-m3", 8192, "0.00000001", "DeepInfra", 1024),
)
_VECTORS_CREATED: Final = 1761862866
#: Paid models that also have a free variant.
_WITH_FREE_VARIANT: Final = frozenset(
    {
        "openai/gpt-oss-120b",
        "deepseek/deepseek-r1-0528",
        "meta-llama/llama-3.3-70b-instruct",
        "mistralai/mistral-small-3.2-24b-instruct",
    }
)
_MODELS: Final[tuple[Model, ...]] = (
    *_PAID,
    *(
        replace(model, id=model.id + _FREE, name=f"{model.name} (free)", prompt_price="0", completion_price="0")
        for model in _PAID
        if model.id in _WITH_FREE_VARIANT
    ),
    *(
        Model(name, title, context, price, "0", provider, _VECTORS_CREATED, (EMBEDDINGS,), dimensions)
        for name, title, context, price, provider, dimensions in _VECTORS
    ),
)
#: Ids that leave the choice of a model to OpenRouter, by what it then chooses here.
_ROUTERS: Final = {"openrouter/auto": "openai/gpt-4o-mini", "openrouter/free": "openai/gpt-oss-120b:free"}


class Catalog:
    """The models that a mock serves.

    Args:
        further: Ids beside those of this file. Nothing is known of what they make: text and embeddings both.

    Raises:
        InvalidValue: One is no id of a model.
    """

    def __init__(self, further: Sequence[str] = ()) -> None:
        self._by_id = {model.id: model for model in _MODELS}
        for name in map(_without_variant, further):
            self._by_id.setdefault(name, _further(name))

    def making(self, outputs: Collection[str]) -> Sequence[Model]:
        """The models that make one of some outputs; all of them for "all"."""
        return [
            model for model in self._by_id.values() if "all" in outputs or not set(outputs).isdisjoint(model.outputs)
        ]

    def find(self, name: str) -> Model | None:
        """The model that serves an id.

        A variant such as ``:nitro`` is served by its model, ``:free`` only where a free variant exists. The alias
        ``~author/x-latest`` stands for the author's newest model whose slug begins with x; ``openrouter/auto`` and
        ``openrouter/free`` leave the choice to OpenRouter.
        """
        if name.startswith("~"):
            return self._latest(name[1:])
        return self._by_id.get(_ROUTERS.get(name) or _without_variant(name))

    def is_known(self, name: str) -> bool:
        """Whether an id names a model of the catalogue, though perhaps in a variant that nobody serves."""
        base, _, variant = name.partition(":")
        return base in self._by_id and (variant in _VARIANTS or f":{variant}" == _FREE)

    def _latest(self, alias: str) -> Model | None:
        stem = alias.removesuffix("-latest")
        named = [
            model for model in self.making({TEXT}) if stem != alias and model.id.startswith(stem) and not model.is_free
        ]
        return max(named, key=lambda model: model.created, default=None)


def _without_variant(name: str) -> str:
    base, _, variant = name.partition(":")
    return base if variant in _VARIANTS else name


def _further(name: str) -> Model:
    if not _FURTHER_ID.fullmatch(name):
        raise InvalidValue(f"{name!r} is no id of a model", "give AUTHOR/SLUG, such as openai/gpt-4o")
    author = name.partition("/")[0]
    prices = ("0", "0") if name.endswith(_FREE) else _FURTHER_PRICES
    return Model(name, name, _FURTHER_CONTEXT, *prices, author, _FURTHER_CREATED, (TEXT, EMBEDDINGS))


#: The models of this file and no further ones.
CATALOG: Final = Catalog()
