"""Reading answers.

Those of our own server are decoded as they are. Those of WuKongIM may lack members that are new here, have null for
an empty list, or hold in `data` what stands beside it here: what is missing then is empty or 0, and what is unknown
is ignored.
"""

from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct, structs

from ..contract.messages import SendAnswer
from ..errors import ApiAnswerError, ApiRefusedError
from ..model import ReasonCode

T = TypeVar("T")
Reader = Callable[[bytes], T]
"""Raises ApiRefusedError if the answer says so, and ApiAnswerError if it is none."""

_DONE: Final = 200
_NOT_FOUND: Final = 404
_ZEROS: Final[dict[Any, Any]] = {int: 0, float: 0.0, str: "", bool: False, bytes: "", dict: {}}


def done(body: bytes) -> None:
    """Nothing but that it was done."""
    _check_done(_parse(body))


def one(type_: type[T]) -> Reader[T]:
    """One object."""
    decode = msgspec.json.Decoder(type_).decode

    def read(body: bytes) -> T:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = _parse(body)
            _check_status(value)
            converted: T = _convert(value, type_)
            return converted

    return read


def maybe(type_: type[T]) -> Reader[T | None]:
    """One object, or None: there is none."""
    read_one = one(type_)

    def read(body: bytes) -> T | None:
        try:
            return read_one(body)
        except ApiRefusedError as error:
            if error.reason_code == _NOT_FOUND:
                return None
            raise

    return read


def many(type_: type[T]) -> Reader[list[T]]:
    """A list, which may be a plain success if there is nothing to list."""
    decode = msgspec.json.Decoder(list[type_]).decode  # type: ignore[valid-type]  # a type that is made here

    def read(body: bytes) -> list[T]:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = _parse(body)
            if isinstance(value, dict):
                _check_done(value)
                return []
            converted: list[T] = _convert(value, list[type_])  # type: ignore[valid-type]  # the same
            return converted

    return read


def sent(body: bytes) -> SendAnswer:
    """What became of a message; a refusal is an error."""
    answer = _read_sent(body)
    if answer.reason not in (ReasonCode.UNKNOWN, ReasonCode.SUCCESS):
        raise _refusal(answer.reason)
    # WuKongIM says neither that it was sent, nor its id as a text.
    return structs.replace(answer, reason=int(ReasonCode.SUCCESS), message_idstr=str(answer.message_id))


_read_sent: Final = one(SendAnswer)


def _parse(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiAnswerError(f"the answer is no JSON: {body[:100]!r}") from None


def _check_done(value: Any) -> None:
    """Only a status says that something was done."""
    if not isinstance(value, dict) or "status" not in value:
        raise ApiAnswerError(f"the answer is none of WuKongIM's: {value!r:.100}")
    _check_status(value)


def _check_status(value: Any) -> None:
    """Some answers with the HTTP status 200 say that nothing was done."""
    status = value.get("status", _DONE) if isinstance(value, dict) else _DONE
    if status != _DONE and isinstance(status, int):
        raise _refusal(status)


def _refusal(reason: int) -> ApiRefusedError:
    try:
        name = ReasonCode(reason).wire_name
    except ValueError:
        name = "not found" if reason == _NOT_FOUND else "for a reason of its own"
    return ApiRefusedError(200, f"{name} ({reason})", reason)


def _convert(value: Any, type_: Any) -> Any:
    try:
        return msgspec.convert(_filled(value, type_), type_)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ApiAnswerError(f"the answer is none of WuKongIM's: {error}") from None


def _filled(value: Any, type_: Any) -> Any:
    """A value with what its type needs and it does not have."""
    origin, parts = get_origin(type_), get_args(type_)
    if origin in (Annotated, Union, UnionType):
        return _filled(value, parts[0])
    if origin is list:
        return (
            [_filled(item, parts[0]) for item in value] if isinstance(value, list) else [] if value is None else value
        )
    if origin is Literal:
        return parts[0] if value is None else value
    if isinstance(type_, type) and issubclass(type_, Struct):
        return _filled_struct(value, type_)
    return _ZEROS.get(origin or type_) if value is None else value


def _filled_struct(value: Any, type_: type[Struct]) -> Any:
    fields = structs.fields(type_)
    if value is None:
        value = {}
    elif not isinstance(value, dict) or not {field.encode_name for field in fields} & {*value, *_data(value)}:
        raise ApiAnswerError(f"the answer is none of WuKongIM's: {value!r:.100}")
    members = {**_data(value), **value}
    given = [(field, members.get(field.encode_name)) for field in fields]
    return {
        field.encode_name: _filled(member, field.type)
        for field, member in given
        if member is not None or field.required
    }


def _data(value: dict[str, Any]) -> dict[str, Any]:
    data = value.get("data")
    return data if isinstance(data, dict) else {}
