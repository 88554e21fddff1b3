"""contracts/lib/ticket_art.vy: the JSON parses, the SVG parses, the numbers are right."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import ETHER, Contract, Evm

SVG = "{http://www.w3.org/2000/svg}"
U95, U96 = 2**95 - 1, 2**96 - 1


@pytest.fixture(scope="module")
def art() -> Contract:
    return Evm().deploy("MockTicketArt")


def drawn(uri: str) -> tuple[dict[str, str], ElementTree.Element]:
    """Take a token URI apart: attributes by name, and the picture."""
    kind, _, content = uri.partition(",")
    assert kind == "data:application/json;utf8"
    read = json.loads(content)
    assert set(read) == {"name", "description", "attributes", "image"}
    kind, _, picture = read["image"].partition(",")
    assert kind == "data:image/svg+xml;utf8"
    return {a["trait_type"]: a["value"] for a in read["attributes"]}, ElementTree.fromstring(picture)


@given(
    ticket=st.integers(1, 2**64 - 1),
    shares=st.integers(1, U95),
    part=st.integers(0, 10**6),
    claimable=st.integers(0, U96),
)
def test_uri__any_ticket__parses_and_says_its_numbers(
    art: Contract, ticket: int, shares: int, part: int, claimable: int
):
    waiting = shares * part // 10**6
    attributes, picture = drawn(art.uri(ticket, shares, waiting, claimable))

    def decimal(amount: int) -> str:
        return str((Decimal(amount) / ETHER).quantize(Decimal("0.000001"), rounding="ROUND_DOWN"))

    state = "ready" if waiting == 0 else "partly ready" if waiting < shares else "waiting"
    assert attributes == {"state": state, "shares": decimal(shares), "claimable ETH": decimal(claimable)}
    assert [text.text for text in picture.iter(f"{SVG}text")] == [
        f"Floe exit {ticket}",
        state,
        f"{decimal(shares)} floETH",
        f"{decimal(claimable)} ETH to claim",
    ]
    _, water = picture.iter(f"{SVG}rect")
    height = 300 * (shares - waiting) // shares
    assert (water.get("height"), water.get("y")) == (str(height), str(300 - height))


def test_uri__largest_numbers__fit(art: Contract):
    uri = art.uri(2**64 - 1, U95, 1, U96)
    drawn(uri)
    assert len(uri) <= 2560
    assert uri.isascii()
