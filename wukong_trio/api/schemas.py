"""JSON schemas and examples of the types that requests and answers have, with the meaning of every member."""

from collections.abc import Iterable, Iterator
from inspect import cleandoc
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Raw, Struct

from .glossary import WORDS, word

Schema: TypeAlias = dict[str, Any]
REF: Final = "#/components/schemas/{name}"
_EMPTY: Final[dict[Any, Any]] = {int: 0, float: 0.0, str: "", bool: False, bytes: "", dict: {}}


class Schemas:
    """The schemas of some types, and of all Structs in them by name."""

    def __init__(self, types: Iterable[Any]) -> None:
        wanted = list(dict.fromkeys(held for type_ in types for held in (type_, *_encoded_in(type_))))
        schemas, self.components = msgspec.json.schema_components(wanted, schema_hook=_anything, ref_template=REF)
        self._schemas: dict[Any, Schema] = dict(zip(wanted, schemas, strict=True))
        for struct in {struct for type_ in wanted for struct in structs_in(type_)}:
            self._explain(self.components[struct.__name__], struct)

    def __getitem__(self, type_: Any) -> Schema:
        """The schema of one of the types; of any of them, if it is a tuple."""
        if isinstance(type_, tuple):
            return {"anyOf": [self[alternative] for alternative in type_]}
        return dict(self._schemas[type_])

    def _explain(self, schema: Schema, struct: type[Struct]) -> None:
        schema["description"] = cleandoc(struct.__doc__ or "")
        for field in msgspec.structs.fields(struct):
            member = schema["properties"][field.encode_name]
            for held in _held(field.type):
                member.clear()
                member.update(self[held])
            member |= described(struct, field.name)


def _anything(_type: type) -> Schema:
    """The schema of a type that is none of JSON's."""
    return {}


def described(struct: type[Struct], name: str) -> Schema:
    """What a schema says about the meaning of a member."""
    return {"description": word(struct.__name__, name).text}


def is_struct(type_: Any) -> bool:
    """Whether a type is a Struct."""
    return isinstance(type_, type) and issubclass(type_, Struct)


def structs_in(type_: Any) -> Iterator[type[Struct]]:
    """The Structs of which a type is made."""
    if is_struct(type_):
        yield type_
        for field in msgspec.structs.fields(type_):
            yield from structs_in(field.type)
    for part in get_args(type_):
        yield from structs_in(part)


def _encoded_in(type_: Any) -> Iterator[Any]:
    """The types of what is encoded already when it comes to a member."""
    for struct in structs_in(type_):
        for field in msgspec.structs.fields(struct):
            yield from _held(field.type)


def _held(type_: Any) -> Iterator[Any]:
    """The T of `Annotated[Raw, T]`, also where the member may be missing."""
    parts = get_args(type_)
    if get_origin(type_) is Annotated and parts[0] is Raw:
        yield from parts[1:]
    elif get_origin(type_) in (Union, UnionType):
        for part in parts:
            yield from _held(part)


def example_of(type_: Any) -> Any:
    """A value of a type, as JSON has it; of the first, if it is a tuple or a union."""
    if isinstance(type_, tuple):
        return example_of(type_[0])
    if is_struct(type_):
        return {
            field.encode_name: value
            for field in msgspec.structs.fields(type_)
            if (value := example_of_member(type_, field)) is not None
        }
    parts, origin = get_args(type_), get_origin(type_)
    if type_ == list[str]:
        # Without a name of its own, a list of texts is one of uids.
        return WORDS["uids"].example
    if origin is list:
        return [example_of(parts[0])]
    if origin is Annotated:
        return example_of(parts[1] if parts[0] is Raw else parts[0])
    if origin is Literal:
        return parts[0]
    if origin in (Union, UnionType):
        return example_of(parts[0])
    return _EMPTY.get(type_)


def example_of_member(struct: type[Struct], field: msgspec.structs.FieldInfo) -> Any:
    """An example of a member; None for one that examples leave out."""
    given = word(struct.__name__, field.name).example
    if given is not None:
        return given
    return example_of(field.type) if field.default is NODEFAULT else None
