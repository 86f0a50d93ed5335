"""Models that the mock serves: real ids, context lengths and prices of 2026, as OpenRouter lists them.

Prices are decimal strings in USD per token. What matters to a client under test is the shape and the order of
magnitude; the figures are not kept up to date.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

__all__ = ["MAX_COMPLETION_TOKENS", "MODELS", "Model", "find", "is_known"]

#: Variants that choose among a model's providers or add to a call; ``:free`` is a model of its own.
_VARIANTS: Final = frozenset({"nitro", "floor", "online", "thinking", "extended", "exacto"})
_FREE: Final = ":free"
#: The longest answer of every model, in tokens.
MAX_COMPLETION_TOKENS: Final = 16384


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
    """

    id: str
    name: str
    context_length: int
    prompt_price: str
    completion_price: str
    provider: str
    created: int

    @property
    def is_free(self) -> bool:
        """Whether it is a free variant, which costs nothing and has the account's free limits."""
        return self.id.endswith(_FREE)

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
                "modality": "text->text",
                "input_modalities": ["text"],
                "output_modalities": ["text"],
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
            "supported_parameters": ["max_tokens", "temperature", "top_p", "stop", "seed", "tools", "response_format"],
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
)
#: Paid models that also have a free variant.
_WITH_FREE_VARIANT: Final = frozenset(
    {
        "openai/gpt-oss-120b",
        "deepseek/deepseek-r1-0528",
        "meta-llama/llama-3.3-70b-instruct",
        "mistralai/mistral-small-3.2-24b-instruct",
    }
)
MODELS: Final[tuple[Model, ...]] = _PAID + tuple(
    replace(model, id=model.id + _FREE, name=f"{model.name} (free)", prompt_price="0", completion_price="0")
    for model in _PAID
    if model.id in _WITH_FREE_VARIANT
)
_BY_ID: Final = {model.id: model for model in MODELS}


def find(name: str) -> Model | None:
    """The model that serves an id.

    A variant such as ``:nitro`` is served by its model, ``:free`` only where a free variant exists. The alias
    ``~author/x-latest`` stands for the author's newest model whose slug begins with x.
    """
    if name.startswith("~"):
        return _latest(name[1:])
    base, _, variant = name.partition(":")
    return _BY_ID.get(base if variant in _VARIANTS else name)


def is_known(name: str) -> bool:
    """Whether an id names a model of the catalogue, though perhaps in a variant that nobody serves."""
    base, _, variant = name.partition(":")
    return base in _BY_ID and (variant in _VARIANTS or f":{variant}" == _FREE)


def _latest(alias: str) -> Model | None:
    stem = alias.removesuffix("-latest")
    named = [model for model in _PAID if stem != alias and model.id.startswith(stem)]
    return max(named, key=lambda model: model.created, default=None)
