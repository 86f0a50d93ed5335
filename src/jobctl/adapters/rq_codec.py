"""Jobs as RQ writes them to Redis, read without running what they hold.

RQ's serializer belongs to the worker. Here the encoding is recognised value by value, so that one worker runs JSON jobs
and pickled ones; what a job's results and meta are written in follows its own data.

Under an active allowlist nothing unlisted is imported or called:

* A pickle that names no global cannot call anything, whatever its other opcodes; CPython's fast unpickler reads it.
* Any other is read by the standard library's unpickler in Python, each of whose steps that could call something is
  bounded here. Classes and functions are found only on the list or in a short table of harmless types. A pickle may
  instantiate classes; it may call a function only if the list has an entry for exactly that one; it may set attributes
  of instances, never of classes and functions. Persistent ids and the extension registry are refused.
* A dotted path is followed step by step. A step into another module, or to something that is defined in an unlisted
  module and merely imported by a listed one (``myapp.tasks.os.system``), is refused.

What this does not do: bound the memory and time of decoding, beyond the limit on inflating. Whoever can write to Redis
can also delete jobs and stop workers.
"""

from __future__ import annotations

import builtins
import collections
import copyreg
import datetime
import decimal
import io
import json
import pathlib
import pickle
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, ClassVar, Final, NamedTuple, cast

from rq.timeouts import BaseTimeoutException

from jobctl.core.allowing import EVERYTHING, Allowlist
from jobctl.errors import JobRefused

__all__ = [
    "Call",
    "JobSerializer",
    "check_callbacks",
    "decode_call",
    "decode_value",
    "inflate",
    "resolve_call",
    "resolve_function",
    "serializer_for",
]

#: What a job's data may grow to when it is inflated, bytes: a few KB of zlib can hold gigabytes of zeros.
_LARGEST: Final = 64 << 20
#: How much of a text from Redis is repeated in a reason.
_LONGEST: Final = 120
_MANY: Final = 4096

_PATHS: Final = (pathlib.PosixPath, pathlib.PurePosixPath)
#: Types that ordinary arguments are made of, by the names that pickles give them. To construct one runs no code but its
#: own, which imports, opens and calls nothing.
_HARMLESS: Final[Mapping[tuple[str, str], type]] = {
    (module, kind.__name__): kind
    for module, kinds in {
        "builtins": (bytearray, complex, frozenset, range, set, slice),
        "collections": (collections.OrderedDict, collections.deque),
        "datetime": (datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone),
        "decimal": (decimal.Decimal,),
        "pathlib": _PATHS,
        "pathlib._local": _PATHS,  # as Python 3.13 names them
        "uuid": (uuid.UUID,),
    }.items()
    for kind in kinds
}
_FUNCTIONS: Final = (FunctionType, BuiltinFunctionType, MethodType)


class Call(NamedTuple):
    """What a job calls.

    Attributes:
        function_path: Dotted path of the function; with an instance, the name of its method.
        instance: What the method belongs to; None for a function.
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    function_path: str
    instance: Any
    args: Sequence[Any]
    kwargs: dict[str, Any]

    @property
    def job_type(self) -> str:
        """The dotted path of the function or method."""
        if self.instance is None:
            return self.function_path
        kind = type(self.instance)
        return f"{kind.__module__}.{kind.__qualname__}.{self.function_path}"


# ------------------------------------------------------------------------------------------------------------ decoding


def decode_call(data: bytes, allow: Allowlist = EVERYTHING) -> Call:
    """Read the ``data`` field of a job's hash.

    Args:
        data: ``[function, instance, args, kwargs]`` as JSON or as a pickle, inflated or not.
        allow: What may run.

    Raises:
        JobRefused: It cannot be decoded, it is no call, or it names something that is not on the list; nothing that is
            not on the list was imported.
    """
    value = _load(inflate(data), allow, "data")
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        raise JobRefused("its data is not a call: [function, instance, arguments, keyword arguments]")
    call = Call(*value)
    if not isinstance(call.function_path, str) or not call.function_path:
        raise JobRefused("its data names no function")
    if not isinstance(call.args, (list, tuple)) or not isinstance(call.kwargs, dict):
        raise JobRefused("its arguments are not a list and a dictionary")
    if call.instance is not None:
        if allow.active:
            _check_method(call, allow)
    elif not allow.permits(call.function_path):
        raise _unlisted(call.function_path)
    return call


def decode_value(data: bytes, allow: Allowlist = EVERYTHING, what: str = "meta") -> Any:
    """Read another serialized value, such as the ``meta`` field or a result.

    Args:
        data: JSON or a pickle.
        allow: What may be imported.
        what: What it is, for the reason.

    Raises:
        JobRefused: It cannot be decoded, or it names something that is not on the list.
    """
    return _load(data, allow, what)


def inflate(data: bytes) -> bytes:
    """The ``data`` field of a job's hash as it was before RQ compressed it.

    Raises:
        JobRefused: It is empty, cut off or too large.
    """
    if not data:
        raise JobRefused("its data is empty", "data")
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data, _LARGEST)
    except zlib.error:
        return data  # RQ reads what is not compressed as well
    if inflater.eof:
        return inflated
    raise JobRefused(
        f"its data is larger than {_LARGEST >> 20} MiB" if inflater.unconsumed_tail else "its data is cut off"
    )


def _load(data: bytes, allow: Allowlist, what: str) -> Any:
    pickled = _is_pickle(data)
    try:
        if not pickled:
            return json.loads(str(data, "utf-8"))
        return _unpickle(data, allow) if allow.active else pickle.loads(data)
    except (JobRefused, BaseTimeoutException):
        raise
    except Exception as error:  # anything may be wrong with it
        encoding = "pickle" if pickled else "JSON"
        raise JobRefused(f"its {what} is no valid {encoding} ({_words(error)})", "data") from error


def _is_pickle(data: bytes) -> bool:
    """Tell a pickle from JSON.

    From protocol 2 on a pickle begins with 0x80, which begins no character of UTF-8; an older one ends with a full
    stop, with which no JSON ends.
    """
    return data[:1] == b"\x80" or data[-1:] == b"."


class _NamesGlobal(Exception):
    """A pickle names a class or a function."""


class _Plain(pickle.Unpickler):
    """Reads pickles that name no global."""

    def find_class(self, module: str, name: str, /) -> Any:
        raise _NamesGlobal


_PythonUnpickler: Any = pickle._Unpickler
_extensions: dict[int, object] = vars(copyreg)["_inverted_registry"]


class _Listed(_PythonUnpickler):  # type: ignore[misc]  # it is not in the published types
    """Reads pickles whose globals are on the list."""

    def __init__(self, data: bytes, allow: Allowlist) -> None:
        super().__init__(io.BytesIO(data))
        self._size = len(data)
        self._allow = allow
        self._callable: list[object] = []

    def find_class(self, module: str, name: str, /) -> Any:
        harmless = _HARMLESS.get((module, name))
        if harmless is not None:
            return harmless
        path = f"{module}.{name}"
        if not self._allow.permits(path):
            raise _unlisted(path)
        _, found = _follow(_imported(module), module, name.split("."), self._allow)
        if not isinstance(found, (type, *_FUNCTIONS)):
            raise JobRefused(f"{_shown(path)} is neither a class nor a function")
        if self._allow.lists(path):
            self._callable.append(found)
        return found

    def get_extension(self, code: int) -> None:
        raise JobRefused("it is pickled with the extension registry")

    def _check_callable(self, function: object) -> None:
        if not isinstance(function, type) and not any(function is listed for listed in self._callable):
            raise JobRefused(
                f"its pickle calls {_named(function)}; only an entry of the allowlist for just that permits it"
            )

    def _instantiate(self, kind: Any, args: Any) -> None:
        self._check_callable(kind)
        super()._instantiate(kind, args)

    def load_reduce(self) -> None:
        self._check_callable(self.stack[-2])
        super().load_reduce()

    def load_newobj(self) -> None:
        self._check_class(self.stack[-2])
        super().load_newobj()

    def load_newobj_ex(self) -> None:
        self._check_class(self.stack[-3])
        super().load_newobj_ex()

    def _check_class(self, kind: object) -> None:
        if not isinstance(kind, type):
            raise JobRefused(f"its pickle instantiates {_shown(type(kind).__name__)}, which is no class")

    def load_build(self) -> None:
        target = self.stack[-2]
        if isinstance(target, (type, *_FUNCTIONS)):
            raise JobRefused(f"its pickle changes {_named(target)}")
        super().load_build()

    def load_bytearray8(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        if size > self._size:
            raise JobRefused("its pickle is cut off")
        self.append(bytearray(self.read(size)))

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **_PythonUnpickler.dispatch,
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }


def _unpickle(data: bytes, allow: Allowlist) -> Any:
    # The fast one does not ask before it takes a known extension, and makes room for an array of any size at once.
    if not _extensions and pickle.BYTEARRAY8 not in data:
        try:
            return _Plain(io.BytesIO(data)).load()
        except _NamesGlobal:
            pass
    return _Listed(data, allow).load()


# ----------------------------------------------------------------------------------------------------------- resolving


def resolve_call(call: Call, allow: Allowlist = EVERYTHING) -> Callable[..., Any]:
    """The function or method of a call that :func:`decode_call` let pass.

    Raises:
        JobRefused: As :func:`resolve_function` does.
    """
    if call.instance is None:
        return resolve_function(call.function_path, allow)
    try:
        method: Callable[..., Any] = getattr(call.instance, call.function_path)
    except AttributeError:
        raise JobRefused(f"{_shown(type(call.instance).__name__)} has no method {_shown(call.function_path)}") from None
    return method


def resolve_function(path: str, allow: Allowlist = EVERYTHING) -> Callable[..., Any]:
    """Import a function, or a method of a class, by its dotted path, as ``rq.utils.import_attribute`` does.

    Where a path leads is remembered; that it leads nowhere is not.

    Raises:
        JobRefused: It is not on the list, cannot be imported, or leads to nothing that can be called.
    """
    owner, name = _locate(path, allow)
    try:
        function = getattr(owner, name)
    except AttributeError:  # it has been there
        raise JobRefused(f"{_shown(path)} does not exist any more", "import") from None
    if not callable(function):
        raise JobRefused(f"{_shown(path)} cannot be called")
    return function  # type: ignore[no-any-return]


@lru_cache(_MANY)
def _locate(path: str, allow: Allowlist) -> tuple[Any, str]:
    """The module or class that holds what a path names, and its name there."""
    if not allow.permits(path):
        raise _unlisted(path)
    if "." not in path:
        if not hasattr(builtins, path):
            raise JobRefused(f"{_shown(path)} is not a dotted path and no builtin")
        return builtins, path
    module, length = _import_longest(path)
    names = path.split(".")
    owner, _ = _follow(module, ".".join(names[:length]), names[length:], allow)
    return owner, names[-1]


def _import_longest(path: str) -> tuple[ModuleType, int]:
    """Import the longest beginning of a path that is a module; the module, and how many names it takes."""
    names = path.split(".")
    for length in range(len(names) - 1, 0, -1):
        module = ".".join(names[:length])
        try:
            return _imported(module), length
        except JobRefused as refusal:
            cause = refusal.__cause__
            if not isinstance(cause, ImportError):
                raise
            missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
            if missing is None or not f"{module}.".startswith(f"{missing}."):
                raise JobRefused(f"{_shown(path)} cannot be imported: {refusal}", "import") from cause
    raise JobRefused(f"{_shown(path)} cannot be imported: there is no module {_shown(names[0])}", "import")


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except BaseTimeoutException:
        raise
    except (Exception, SystemExit) as error:  # a module may do anything while it is imported
        raise JobRefused(f"module {_shown(name)} cannot be imported ({_words(error)})", "import") from error


def _follow(module: ModuleType, prefix: str, names: Sequence[str], allow: Allowlist) -> tuple[Any, Any]:
    """Go from a module along names, and under an active list refuse a step that leads out of it.

    Returns:
        What holds the last name, and what that name stands for.
    """
    path, owner, value = prefix, cast(Any, None), cast(Any, module)
    for name in names:
        owner, path = value, f"{path}.{name}"
        value = _attribute(owner, name, path)
        if allow.active:
            _check_step(owner, name, value, path, allow)
    return owner, value


def _attribute(owner: object, name: str, path: str) -> object:
    try:
        return getattr(owner, name)
    except AttributeError:
        holder = f"module {owner.__name__}" if isinstance(owner, ModuleType) else _named(owner)
        raise JobRefused(f"{_shown(path)} cannot be imported: {holder} has no {_shown(name)}", "import") from None


def _check_step(owner: object, name: str, value: object, path: str, allow: Allowlist) -> None:
    if isinstance(value, ModuleType):
        raise JobRefused(f"{_shown(path)} is a module that another one imports")
    if isinstance(owner, type):
        if _defines(owner, name):
            return
    elif not isinstance(owner, ModuleType):
        raise JobRefused(f"{_shown(path)} is an attribute of something that is no class")
    home = _home(value)
    if not allow.lists(path) and (home is None or not allow.permits(home)):
        raise JobRefused(f"{_shown(path)} is defined elsewhere: {_named(value)} is {_UNLISTED}")


def _home(value: object) -> str | None:
    """The path where a class or a function is defined, as far as it is told; without the function around it."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str):
        return None
    visible = name.partition("<")[0].rstrip(".") if isinstance(name, str) else ""
    return f"{module}.{visible}" if visible else module


def _named(value: object) -> str:
    """What to call it in a reason."""
    return _shown(_home(value) or type(value).__name__)


def _defines(kind: type, name: str) -> bool:
    """Whether a method, a nested class included, is defined in the body of a class or of one that it inherits from."""
    for base in kind.__mro__:
        if name in vars(base):
            value = vars(base)[name]
            inner = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
            return isinstance(inner, (type, *_FUNCTIONS)) and inner.__module__ == base.__module__
    return False


def _check_method(call: Call, allow: Allowlist) -> None:
    """Refuse an instance of an unlisted class, and what is no method of its class."""
    kind = type(call.instance)
    path = call.job_type
    if not allow.permits(path):
        raise _unlisted(path)
    if not _defines(kind, call.function_path):
        raise JobRefused(f"{_shown(path)} is no method that its class defines")


# ------------------------------------------------------------------------------------------------- callbacks, webhooks


def check_callbacks(
    names: Iterable[str | None], webhooks_json: bytes | str | None, allow: Allowlist = EVERYTHING
) -> None:
    """Refuse callbacks and webhooks that are not on the list; RQ would import and call them.

    Args:
        names: The ``*_callback_name`` fields of a job's hash; None and empty ones name nothing.
        webhooks_json: Its ``webhooks`` field; None or empty when there is none.
        allow: What may run.

    Raises:
        JobRefused: One is not on the list, cannot be imported, or cannot be read.
    """
    if not allow.active:
        return
    for name in names:
        if name:
            try:
                resolve_function(name, allow)
            except JobRefused as refusal:
                raise JobRefused(f"its callback is refused: {refusal}") from refusal
    if webhooks_json:
        _check_webhooks(webhooks_json, allow)


def _check_webhooks(webhooks_json: bytes | str, allow: Allowlist) -> None:
    try:
        urls = [webhook["url"] for webhook in json.loads(webhooks_json)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise JobRefused(f"its webhooks cannot be read ({_words(error)})") from error
    for url in urls:
        if not isinstance(url, str) or not allow.permits_webhook(url):
            raise JobRefused(f"its webhook calls a host that is {_UNLISTED}")


# --------------------------------------------------------------------------------------------------------- serializers


class JobSerializer:
    """A serializer for RQ that reads either encoding and obeys the list.

    Args:
        allow: What pickles may name.
        as_json: Whether it writes JSON; otherwise it writes pickles, as RQ's own does.
    """

    def __init__(self, allow: Allowlist = EVERYTHING, *, as_json: bool = False) -> None:
        self._allow = allow
        self.as_json = as_json
        self.__qualname__ = type(self).__qualname__  # RQ's worker asks a serializer for it

    def loads(self, data: bytes, /) -> Any:
        """Read a value.

        Raises:
            JobRefused: It cannot be decoded, or it names something that is not on the list.
        """
        return _load(data, self._allow, "value")

    def dumps(self, value: Any, /) -> bytes:
        """Write a value.

        Raises:
            TypeError: JSON cannot express it; RQ then keeps a text that says so in place of a result.
        """
        return json.dumps(value).encode() if self.as_json else pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


@lru_cache
def _serializer(as_json: bool, allow: Allowlist) -> JobSerializer:
    return JobSerializer(allow, as_json=as_json)


def serializer_for(data: bytes, allow: Allowlist = EVERYTHING) -> JobSerializer:
    """The serializer for what a job's own data is written in; RQ's default for data that cannot be read.

    Args:
        data: The ``data`` field of the job's hash.
        allow: What pickles may name.
    """
    try:
        first = zlib.decompressobj().decompress(data, 1)
    except zlib.error:
        first = data[:1]
    return _serializer(first == b"[", allow)


# ------------------------------------------------------------------------------------------------------------- reasons

_UNLISTED: Final = "not on the allowlist (--allow)"


def _unlisted(path: str) -> JobRefused:
    return JobRefused(f"{_shown(path)} is {_UNLISTED}")


def _shown(text: str) -> str:
    """A text from Redis as it may stand in a line: printable and short."""
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _words(error: BaseException) -> str:
    return _shown(f"{type(error).__name__}: {error}")
