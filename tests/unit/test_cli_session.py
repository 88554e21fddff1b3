"""What the commands ask of a node in one request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ape.exceptions import ProviderError

from floe.cli.session import Floe

CONTRACT = "0x" + "11" * 20


def floe(answers: Any, asked: list[Any]) -> Floe:
    """Return a deployment at block 18 on a node that answers like this."""

    def make_batch_request(requests: list[Any]) -> Any:
        asked.extend(requests)
        return answers

    one = object.__new__(Floe)
    one.block = 18
    one.provider = SimpleNamespace(
        web3=SimpleNamespace(provider=SimpleNamespace(make_batch_request=make_batch_request))
    )
    return one


def test_read_many__answers__in_order_and_at_the_block():
    asked: list[Any] = []
    answers = [{"id": 1, "result": "0x0102"}, {"id": 2, "result": "0x"}]
    assert floe(answers, asked).read_many(CONTRACT, [b"\x01\x02", b"\xff"]) == [b"\x01\x02", b""]
    assert asked == [
        ("eth_call", [{"to": CONTRACT, "data": "0x0102"}, "0x12"]),
        ("eth_call", [{"to": CONTRACT, "data": "0xff"}, "0x12"]),
    ]


@pytest.mark.parametrize(
    "answers",
    [
        [{"id": 1, "result": "0x01"}, {"id": 2, "error": {"message": "batch too large"}}],
        {"error": {"message": "batch too large"}},
    ],
)
def test_read_many__node_refuses__says_why(answers):
    with pytest.raises(ProviderError, match=r"2 questions at once.*batch too large"):
        floe(answers, []).read_many(CONTRACT, [b"\x01", b"\x02"])
