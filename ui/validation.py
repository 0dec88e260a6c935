"""One check for all that people write and programs load: a class says what its fields may be, a mistake is one line.

The classes are frozen dataclasses whose fields say by their annotations what they may hold. What hangs on several
fields or on other data is plain code, in ``__post_init__``: an :class:`InputError` that begins with the field's name.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Interval

from .errors import InputError
from .names import meant

if TYPE_CHECKING:  # takes 80 ms to import
    from pydantic_core import ErrorDetails, SchemaValidator

T = TypeVar("T")

Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, le=1)]
PositiveShare = Annotated[float, Interval(gt=0, le=1)]
# What is plausible of a quantity; beyond lies a slip of the unit, or an overflow.
Mbps = Annotated[float, Interval(ge=1e-3, le=1e6)]
Seconds = Annotated[float, Interval(ge=0, le=1e6)]
BytesPerSecond = Annotated[float, Interval(ge=1e3, le=1e14)]
Factor = Annotated[float, Interval(ge=1e-6, le=1e6)]
PayloadShare = Annotated[float, Interval(ge=0.01, le=1)]

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument", "invalid_key")
_MISSING = ("missing", "missing_argument")
_OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
_NOUNS = {
    "integer": "whole number", "number": "finite number", "object": "mapping", "string": "text",
    "boolean": "true or false", "null": "null",
}  # fmt: skip
_COUNTABLE = ("integer", "number", "object", "array")
_POWER_OF_TEN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_MOST_SHOWN = 60  # characters of a value


def validated(kind: type[T], data: Mapping[Any, Any], where: str, *, exact: bool = False, what: str = "field") -> T:
    """An object of a class, if its fields may have these values.

    Numbers are finite; text and booleans are none.

    Args:
        kind: a dataclass.
        data: values by field.
        where: what a complaint begins with, a file say.
        exact: whether 2.0 is no whole number, as in what programs write; otherwise 1e6 is one, and the text "1e-4", as
            YAML 1.1 reads that, a number.
        what: what fields are called.

    Raises:
        InputError: an unknown field, one that is missing, or a value that is not allowed.
    """
    from pydantic_core import ValidationError

    try:
        return _validator(kind, exact).validate_python(dict(data))
    except ValidationError as error:
        errors = error.errors(include_url=False)
    first = min(errors, key=lambda found: found["type"] not in _UNKNOWN)  # a field misspelt is not one missing
    raise InputError(f"{where}: {_complaint(kind, first, what)}")


@cache
def _validator(kind: type, exact: bool) -> SchemaValidator:
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    return SchemaValidator(_careful(TypeAdapter(kind).core_schema, exact))


def _careful(schema: Any, exact: bool) -> Any:
    """A pydantic schema that takes no further fields and only numbers for numbers; a list may still be a tuple."""
    from pydantic_core import core_schema

    if isinstance(schema, list):
        return [_careful(part, exact) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: _careful(part, exact) for name, part in schema.items()}
    match schema.get("type"):
        case "dataclass" if "extra_fields_behavior" not in schema.get("config", {}):
            schema["schema"]["extra_behavior"] = "forbid"
        case "bool":
            schema["strict"] = True
        case "int":
            return core_schema.no_info_before_validator_function(_exact_int if exact else _number, schema)
        case "float":
            schema["allow_inf_nan"] = False
            return core_schema.no_info_before_validator_function(_exact_number if exact else _number, schema)
    return schema


def _exact_int(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError
    return _exact_number(value)


def _exact_number(value: Any) -> Any:
    if isinstance(value, (bool, str, bytes)):
        raise ValueError
    return value


def _number(value: Any) -> Any:
    power = isinstance(value, str) and _POWER_OF_TEN.fullmatch(value)
    return float(value) if power else _exact_number(value)


def allowed(kind: type) -> dict[str, str]:
    """What every field of a class may hold, in words."""
    return {name: _words(schema) for name, schema in _fields(kind).items()}


@cache
def _fields(kind: type) -> dict[str, Any]:
    """JSON schemas of a class's fields."""
    from pydantic import TypeAdapter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about defaults that are no JSON
        return TypeAdapter(kind).json_schema()["properties"]


def _complaint(kind: type, error: ErrorDetails, what: str) -> str:
    context = error.get("ctx", {})
    if isinstance(context.get("error"), InputError):
        return str(context["error"])
    known, (name, *inner) = _fields(kind), error["loc"]
    if error["type"] in _UNKNOWN:
        return f"unknown {what} {shown(name)}; {meant(str(name), known or ['none'])}"
    if error["type"] in _MISSING:
        if not inner:
            return f"{what} {name} is missing"
        inner.pop()  # a list that is too short
    place, schema = str(name), known[str(name)]
    for part in inner:
        options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
        if len(options) > 1:
            break
        if inner[-1] == "[key]":
            expected = context.get("expected", "text").replace(" or ", ", ").replace("'", "")
            return f"{place} names {shown(part)}, allowed: {expected}"
        place, parts = f"{place}[{part}]", options[0].get("prefixItems")
        schema = parts[part] if parts else options[0].get("items") or options[0]["additionalProperties"]
    unit = " Mbit/s" * (str(name).endswith("mbps") and error["type"] in _OUT_OF_RANGE)
    return f"{place} is {shown(error['input'])}, allowed: {_words(schema, error['type'] in _OUT_OF_RANGE)}{unit}"


def _words(schema: Mapping[str, Any], out_of_range: bool = False) -> str:
    """What a JSON schema allows; a number that is out of range need not be told that numbers are."""
    if "anyOf" in schema:
        return " or ".join(map(_words, reversed(schema["anyOf"])))  # null comes last in a schema
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return ", ".join(schema["enum"])
    span = _span(schema)
    if out_of_range and span.startswith(", "):
        return span.removeprefix(", ")
    return f"{'a ' * (schema.get('type') in _COUNTABLE)}{_noun(schema)}{span}"


def _noun(schema: Mapping[str, Any], plural: str = "") -> str:
    if "prefixItems" in schema:
        return f"list{plural} of ({', '.join(map(_noun, schema['prefixItems']))})"
    if "items" in schema:
        return f"list{plural} of {_noun(schema['items'], 's')}{_span(schema['items'])}"
    return _NOUNS[schema["type"]] + plural if "type" in schema else "anything"


def _span(schema: Mapping[str, Any]) -> str:
    names = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    low, above, high, below = (_short(schema[name]) if name in schema else "" for name in names)
    if low and high:
        return f", {low}..{high}"
    text = f", {low} or more" * bool(low) + f" above {above}" * bool(above)
    text += f", at most {high}" * bool(high) + f", below {below}" * bool(below)
    return text + (f", at least {schema['minItems']} of them" if "items" in schema and "minItems" in schema else "")


def _short(number: float) -> str:
    text = f"{number:g}"
    if isinstance(number, int) or float(text) != number:
        return str(number)
    return re.sub(r"e([-+])0*", lambda found: "e" + found[1].strip("+"), text)


def shown(value: object) -> str:
    """A value as a complaint shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def read_json(path: str | os.PathLike[str], most_bytes: int = 2**30, **header: object) -> dict[str, Any]:
    """The object in a JSON file without its header.

    Args:
        path: the file.
        most_bytes: a larger file is not read.
        header: fields that must be there with these values.

    Raises:
        InputError: the file cannot be read, is no such object, or has a field twice.
    """
    file = Path(path)
    try:
        if file.stat().st_size > most_bytes:
            raise InputError(f"has more than {most_bytes // 2**20} MB, the most for such a file")
        data = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: must hold a JSON object{' with ' * bool(header)}{', '.join(header)}")
    for name, allowed in header.items():
        value = data.pop(name, None)
        if value != allowed or isinstance(value, bool):
            raise InputError(f"{path}: {name} is {shown(value)}, allowed: {allowed}")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, value in pairs:
        if name in data:
            raise InputError(f"field {shown(name)} is given twice")
        data[name] = value
    return data
