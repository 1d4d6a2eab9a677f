"""Forms in bytes: the same parts however they are cut, and words for whoever sends what is none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.web.openai.multipart import (
    MOST_BEFORE,
    MOST_OF_A_HEAD,
    MOST_PARTS,
    BadForm,
    FormDecoder,
    PartBegan,
    PartData,
    boundary_of,
)

HEAD = b'Content-Disposition: form-data; name="model"\r\n\r\n'


def form(*parts: bytes, end: bytes = b"--B--\r\n") -> bytes:
    return b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + end


def parts(*pieces: bytes) -> list[tuple[str, bool, bytes]]:
    """Each part with all its data; the form has to be complete."""
    decoder, found = FormDecoder(b"B"), list[tuple[str, bool, bytes]]()
    for piece in pieces:
        for event in decoder.feed(piece):
            if isinstance(event, PartBegan):
                found.append((event.name, event.is_file, b""))
            elif isinstance(event, PartData):
                name, is_file, data = found[-1]
                found[-1] = name, is_file, data + event.data
    decoder.finish()
    return found


@given(
    st.lists(
        st.binary(max_size=50).filter(lambda data: b"\r\n--B" not in b"\r\n" + data + b"\r\n-"), max_size=4
    ),
    st.integers(1, 60),
)
@settings(max_examples=150)
def test_what_was_sent_comes_out_however_it_was_cut(values: list[bytes], size: int) -> None:
    data = form(*(HEAD + value for value in values)) + b"what follows is nothing"
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert parts(*pieces) == [("model", False, value) for value in values]


def test_little_of_it_is_kept() -> None:
    decoder = FormDecoder(b"B")
    list(decoder.feed(b"--B\r\n" + HEAD))
    for _ in range(50):
        (event,) = decoder.feed(bytes(100_000))
        assert isinstance(event, PartData)
        assert len(decoder._buffer) < 10


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b'form-data; name="a"; filename="b.wav"', ("a", True)),
        (b'form-data; filename="x; name=b"; name="a"', ("a", True)),
        (b"form-data; name=a; filename*=utf-8''b.wav", ("a", True)),
        (b'form-data; name="a\\"b"', ('a"b', False)),
        (b'FORM-DATA; NAME = "keywords[]"', ("keywords[]", False)),
        ('form-data; name="wörter"'.encode(), ("wörter", False)),
        (b'form-data; name=""', ("", False)),
    ],
)
def test_names(head: bytes, part: tuple[str, bool]) -> None:
    assert parts(form(b"content-disposition:" + head + b"\r\nX-More: 1\r\n\r\n1")) == [(*part, b"1")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ends before"),
        (b"--B--", ""),
        (form(HEAD + b"x", end=b""), "ends before"),
        (form(HEAD + b"x", end=b"--B-"), "ends before"),
        (b"?" * (MOST_BEFORE + 10), "not where the form begins"),
        (b"?" * (MOST_BEFORE + 10) + form(HEAD + b"x"), "not where the form begins"),
        (b"--B" + b" " * (MOST_BEFORE + 10), "goes on and on"),
        (b"--Bee\r\n" + HEAD, "none"),
        (form(b"X: " + b"y" * MOST_OF_A_HEAD + b"\r\n" + HEAD + b"x"), "head of a part"),
        (form(*[HEAD] * (MOST_PARTS + 1)), "more than 256 parts"),
        (form(b"\r\n\r\nx"), "no name"),
        (form(b"Content-Disposition: form-data; filename=name\r\n\r\nx"), "no name"),
        (form(b"Content-Transfer-Encoding: base64\r\n" + HEAD + b"eA=="), "as they are"),
        (b"--B\n" + HEAD.replace(b"\r", b"") + b"x\n--B--", "ends before"),
    ],
)
def test_what_is_no_form_is_told_why(data: bytes, words: str) -> None:
    for pieces in ([data], [data[at : at + 3] for at in range(0, len(data), 3)]):
        if words:
            with pytest.raises(BadForm, match=words):
                parts(*pieces)
        else:
            assert parts(*pieces) == []


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=B", b"B"),
        ('Multipart/Form-Data;charset=utf-8; BOUNDARY="a b"', b"a b"),
        ("multipart/form-data; boundary=" + "b" * 70, b"b" * 70),
    ],
)
def test_the_boundary_stands_in_the_head(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=B",
        "multipart/form-data; boundary=" + "b" * 71, 'multipart/form-data; boundary="\u00e4"',
    ],
)  # fmt: skip
def test_without_one_it_is_told_so(content_type: str) -> None:
    with pytest.raises(BadForm):
        boundary_of(content_type)
