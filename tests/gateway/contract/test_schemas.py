"""JSON schemas say what our docstrings say, however the msgspec or the Python that made them writes that."""

from typing import Annotated

import msgspec

from gateway.contract.schemas import schemas_of


class _House(msgspec.Struct):
    """Where people live.

    It has ``rooms``,
    at least one.
    """

    rooms: int


class _Indented(msgspec.Struct):
    street: Annotated[
        tuple[_House, ...],
        msgspec.Meta(
            extra_json_schema={"description": "The houses of it.\n\n    As older releases write it.\n"}
        ),
    ]
    description: str


def test_what_is_described_is_described_as_its_docstring_is_read() -> None:
    _, definitions = schemas_of((_House,))
    assert definitions["_House"]["description"] == "Where people live.\n\nIt has ``rooms``,\nat least one."


def test_no_indentation_of_code_is_left_however_deep_a_description_stands() -> None:
    (root,), definitions = schemas_of((_Indented,), "#/there/{name}")
    assert root == {"$ref": "#/there/_Indented"}
    fields = definitions["_Indented"]["properties"]
    assert fields["street"]["description"] == "The houses of it.\n\nAs older releases write it."
    assert fields["street"]["items"] == {"$ref": "#/there/_House"}
    assert fields["description"] == {"type": "string"}, "a field of that name is no description"
