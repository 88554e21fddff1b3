"""The keeper's configuration, and the example that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from floe.build import ROOT
from floe.keeper.config import KeeperConfig, Rules
from floe.keeper.plan import Kind
from floe.service.config import ConfigError, load, parse

EXAMPLE = ROOT / "config/keeper.example.yaml"
LEAST = {"deployment": "x.json", "beacon": ["http://a"], "execution": ["http://b"], "store": "sqlite://"}


def test_example__as_it_is__is_valid_and_names_its_files_beside_it():
    config = load(EXAMPLE, KeeperConfig)
    assert config.deployment == EXAMPLE.parent / "../deployments/hoodi.json"
    assert config.key is not None
    assert config.key.keystore is not None
    assert config.key.keystore.file == EXAMPLE.parent / "keeper.json"


def test_example__lines_that_are_commented_out__are_the_defaults():
    shown = re.sub(r"^# (?=( *[a-z_]+:| +\{))", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    content = yaml.safe_load(shown)
    config = parse(content, KeeperConfig)
    plain = parse(
        {name: content[name] for name in ("deployment", "beacon", "execution", "key", "store", "metrics")}, KeeperConfig
    )
    assert config == plain
    assert set(content["rules"]) == set(Rules.model_fields)
    assert set(KeeperConfig.model_fields) - set(content) == {"agree"}


def test_rules__every_kind_of_action__has_one_in_the_same_order():
    assert tuple(Rules.model_fields) == Kind.__args__  # type: ignore[attr-defined]


def test_rules__one_value_of_a_rule__the_others_stay():
    config = parse({**LEAST, "rules": {"fulfil": {"max_fee_gwei": 3}}}, KeeperConfig)
    default = Rules()
    assert config.rules.fulfil == default.fulfil.model_copy(update={"max_fee_gwei": 3.0})
    assert config.rules.top_up == default.top_up


def test_config__everything_wrong__a_line_for_each():
    with pytest.raises(ConfigError) as raised:
        parse(
            {
                **LEAST,
                "beacon": [],
                "execution": ["ftp://b"],
                "store": "mysql://x",
                "rules": {"fulfil": {"least_eth": -1}, "top_up": {"fill_to_eth": 31}, "fly": {}},
                "colour": "red",
                "interval": "soon",
            },
            KeeperConfig,
            "keeper.yaml",
        )
    lines = str(raised.value).splitlines()
    places = [line.split(": ")[1] for line in lines]
    assert sorted(places) == sorted(
        [
            "beacon",
            "execution[0]",
            "store",
            "rules.fulfil.least_eth",
            "rules.top_up.fill_to_eth",
            "rules.fly",
            "colour",
            "interval",
        ]
    )
    assert all(line.startswith("keeper.yaml: ") for line in lines)


def test_config__deployment_that_is_not_there__says_which(tmp_path: Path):
    config = parse(LEAST, KeeperConfig, folder=tmp_path)
    with pytest.raises(ConfigError, match=f"{tmp_path}/x.json: there is no such deployment record"):
        config.record()
