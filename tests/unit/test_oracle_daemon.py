"""The configuration of a member, and the order in which members bring a report."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from floe.build import ROOT
from floe.oracle.daemon import Daemon, OracleConfig, Seen
from floe.oracle.reading import short_frames
from floe.oracle.signer import External
from floe.service.config import ConfigError, load, parse

EXAMPLE = ROOT / "config" / "oracle.example.yaml"
LEAST = {
    "deployment": "local.json",
    "beacon": ["http://127.0.0.1:5052"],
    "execution": ["http://127.0.0.1:8545"],
    "store": "sqlite://",
}


def test_example__as_it_is__valid():
    config = load(EXAMPLE, OracleConfig)
    assert config.key is not None
    assert config.key.keystore is not None
    assert config.key.keystore.file == EXAMPLE.parent / "member.json"
    assert config.deployment.resolve() == ROOT / "deployments" / "hoodi.json"


def test_example__lines_commented_out__are_the_defaults():
    shown = yaml.safe_load("\n".join(re.findall(r"^# (\w+: [^ ]+)(?:  #.*)?$", EXAMPLE.read_text(), re.MULTILINE)))
    least = parse(LEAST, OracleConfig)
    assert shown.keys() == {
        "agree",
        "timeout",
        "max_head_age",
        "max_finality_epochs",
        "log",
        "interval",
        "turn",
        "vote_after",
        "max_fee_gwei",
        "max_gas",
    }
    assert shown == {name: getattr(least, name) for name in shown}


def test_example__external_signer_instead__valid():
    text = EXAMPLE.read_text()
    keystore, _, rest = text.partition("  # external:")
    section, _, after = ("  # external:" + rest).partition("\nlisten:")
    lines = [line.replace("  # ", "  ", 1).split("  #")[0] for line in section.splitlines() if line]
    content = yaml.safe_load(keystore.partition("key:")[0] + "key:\n" + "\n".join(lines) + "\nlisten:" + after)
    config = parse(content, OracleConfig)
    assert config.key is not None
    assert config.key.external == External(
        url="http://127.0.0.1:8550", address="0x0000000000000000000000000000000000000001", dialect="clef"
    )


def test_config__several_mistakes__one_line_each():
    with pytest.raises(ConfigError) as error:
        parse(LEAST | {"turn": -1, "peers": ["x"], "max_gas": 1, "vote_after": 1.5}, OracleConfig, "member.yaml")
    lines = str(error.value).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["member.yaml", name] for name in ("peers[0]", "turn", "vote_after", "max_gas")
    ]


@pytest.mark.parametrize("size", [1, 3, 5, 32])
def test_rank__every_frame__each_member_has_a_place_of_its_own(size):
    seen = Seen(0, 7_200, 0, 0, ("0x",) * size, 1, ())
    firsts = []
    for frame in range(2 * size):
        report: Any = SimpleNamespace(ref_slot=frame * 7_200)
        ranks = [Daemon._rank(SimpleNamespace(), report, place, seen) for place in range(size)]  # type: ignore[arg-type]
        assert sorted(ranks) == list(range(size))
        firsts.append(ranks.index(0))
        assert Daemon._rank(SimpleNamespace(), report, None, seen) == size  # type: ignore[arg-type]
    assert firsts == [*range(size), *range(size)]


def test_short_frames__frame_as_long_as_the_delays__nothing_to_say():
    assert short_frames(86_400, 86_400, 86_400) is None


def test_short_frames__shorter__says_what_is_weaker():
    assert short_frames(86_399, 86_400, 3_600) == (
        "a frame has 86399 s, less than max_age 86400 s: "
        "a quorum's lie that comes late can keep the next true reports out that long"
    )
    both = short_frames(96, 3_600, 7_200)
    assert both is not None
    assert "max_age 3600 s" in both
    assert ", and less than resolve_time 7200 s: the next held report takes the council's decision away" in both
