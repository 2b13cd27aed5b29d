from __future__ import annotations

import base64
import json
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base import secret
from qwen_code.base.secret import (
    MaskUnknownError,
    Secret,
    StreamRedactor,
    holds_secret,
    mask_in,
    redact,
    unmask,
)

KEY = "sk-canary-0123456789-wxyz"


@contextmanager
def only(*values: str) -> Iterator[None]:
    """Only these secrets are known."""
    with pytest.MonkeyPatch.context() as patch:
        for name, empty in (("_known", set()), ("_forms", ()), ("_tags", {})):
            patch.setattr(secret, name, empty)
        patch.setattr(secret, "_count_of_forms", 0)
        for value in values:
            Secret(value)
        yield


def plain(text: str) -> str:
    """``text`` with all masks alike."""
    return re.sub(r"\[secret:[0-9a-f]{4}\]", "[secret]", text)


def test_only_the_ends_are_shown() -> None:
    secret = Secret(KEY)
    assert secret.masked == str(secret) == "sk-…wxyz"
    assert repr(secret) == "Secret(sk-…wxyz)"
    assert secret.reveal() == KEY
    assert Secret("0123456789abcdefgh").masked == "…efgh"


@pytest.mark.parametrize("short", ["", "ollama", "fifteen-chars-x"])
def test_a_short_secret_shows_nothing(short: str) -> None:
    assert Secret(short).masked == "…"


def test_secrets_compare_by_value_and_are_not_pickled() -> None:
    assert Secret(KEY) == Secret(KEY) != Secret("other")
    assert len({Secret(KEY), Secret(KEY)}) == 1
    with pytest.raises(TypeError):
        pickle.dumps(Secret(KEY))


def test_known_secrets_are_cut_out_of_any_text() -> None:
    Secret("canary-one-1234")
    Secret("canary-one-1234-longer")
    text = redact("a canary-one-1234-longer b canary-one-1234 c ollama")
    assert plain(text) == "a [secret] b [secret] c ollama"


def test_each_secret_has_its_own_mask_and_keeps_it() -> None:
    with only("first-secret-1", "second-secret-2"):
        first, second = redact("first-secret-1 second-secret-2").split(" ")
        assert first != second
        assert redact("second-secret-2/first-secret-1") == f"{second}/{first}"


def test_of_secrets_that_overlap_no_part_is_left() -> None:
    with only("abcdefgh", "ghijklmnop", "zzzzzzzz"):
        assert plain(redact("<abcdefghijklmnop>")) == "<[secret]>"
        assert plain(redact("<zzzzzzzzzzz>")) == "<[secret]>"
        assert plain(redact("<abcdefghabcdefgh>")) == "<[secret][secret]>"


AWKWARD = ['k"ey\\with/quo"tes', "key+with/base64==", "sch\xfclüssel-kéy-1", "tab\tand\nnewline"]


@pytest.mark.parametrize("value", [*AWKWARD, "sk-plain-0123456789"])
def test_encoded_forms_are_masked(value: str) -> None:
    with only(value):
        call = json.dumps({"command": f"echo {value}"}, ensure_ascii=False)
        for text in (
            json.dumps(value, ensure_ascii=False),
            msgspec.json.encode({"arguments": call}).decode(),
            quote(value),
            quote(value, safe=""),
            quote(value, safe="").lower() if value.islower() else quote(value),
        ):
            assert holds_secret(text), text
            assert plain(redact(text)) != text


@pytest.mark.parametrize("before", ["", "a", "bc", "def", "user:"])
@pytest.mark.parametrize("after", ["", "x", "yz", "www"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_masked_wherever_it_begins(before: str, after: str, encode: type) -> None:
    value = "sk-canary?0123>456789-wxyz"
    with only(value):
        text = encode(f"{before}{value}{after}".encode()).decode()
        left = redact(text)
        assert plain(left) != text
        assert len(plain(left).replace("[secret]", "")) <= len(text) - len(value) * 8 // 6 + 2


VALUES = st.lists(st.text("ab-", min_size=8, max_size=12), min_size=1, max_size=4)


@given(VALUES, st.data())
def test_a_stream_is_redacted_as_the_whole(values: list[str], data: st.DataObject) -> None:
    piece = st.one_of(st.sampled_from(values), st.text("ab-x\n", max_size=12))
    text = "".join(data.draw(st.lists(piece, max_size=8)))
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20).map(sorted))
    with only(*values):
        stream = StreamRedactor()
        edges = zip([0, *cuts], [*cuts, len(text)], strict=True)
        streamed = "".join(stream.feed(text[start:end]) for start, end in edges)
        assert streamed + stream.flush() == redact(text)
        assert not holds_secret(redact(text))
        assert unmask(redact(text), text) == text


def test_a_stream_holds_back_only_what_may_become_a_secret() -> None:
    with only("sk-held-0123456789"):
        stream = StreamRedactor()
        assert stream.feed("10 % done") == "10 % done"
        assert stream.feed("key sk-he") == "key "
        assert stream.feed("llo") == "sk-hello"
        assert stream.feed("sk-held-012345678") == ""
        assert plain(stream.feed("9!")) == "[secret]!"
        assert stream.feed("s") + stream.flush() == "s"


def test_a_mask_becomes_the_secret_only_where_that_is_already() -> None:
    with only("sk-restored-012345", "sk-elsewhere-01234"):
        holder = "A=sk-restored-012345\n"
        masked = redact(holder)
        assert mask_in(masked) == masked[2:-1]
        assert unmask(f"B=1\n{masked}", holder) == f"B=1\n{holder}"
        other = redact("sk-elsewhere-01234")
        unknown = "[secret:0000]" if "0000" not in masked + other else "[secret:0001]"
        for text, place in ((masked, ""), (other, holder), (unknown, holder)):
            with pytest.raises(MaskUnknownError):
                unmask(text, place)
        assert unmask(unknown, f"docs: {unknown}") == unknown
        assert mask_in(unknown) == ""


def test_an_encoded_secret_is_restored_as_it_was_encoded() -> None:
    with only('k"ey-0123456789'):
        holder = '{"key": "k\\"ey-0123456789", "old": ""}'
        assert unmask(redact(holder), holder) == holder
