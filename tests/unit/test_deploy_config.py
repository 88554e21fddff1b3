"""Parameter files: what is accepted is what the contracts accept, and a mistake is named."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from floe.build import ROOT
from floe.deploy import config
from floe.deploy.config import ConfigError
from floe.devnet.system_contracts import DEPOSIT_CONTRACT
from tests.evm import Evm, reverts
from tests.protocol import Protocol

DEPLOYER = "0x" + "11" * 20
SOMEBODY = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
OTHERS = ["0x" + "22" * 20, "0x" + "33" * 20]

SOURCES = {
    "contracts/lib/parameters.vy": (
        "MAX_FEE_BPS",
        "MAX_RISE_BPS",
        "MIN_RISE_BPS",
        "MAX_TARGET_BPS",
        "MAX_ALLOWANCE_BPS",
        "MAX_INSTANT_FEE",
        "MIN_PERIOD",
        "MAX_PERIOD",
        "MIN_STALE_AFTER",
        "MAX_STALE_AFTER",
    ),
    "contracts/pool/FloePool.vy": ("MIN_SEED", "MAX_CEILING_GWEI"),
    "contracts/governance/Timelock.vy": ("MIN_DELAY",),
    "contracts/validators/validator_book.vy": ("BPS",),
    "contracts/validators/beacon_chain.vy": ("MAX_FORKS",),
    "contracts/oracle/committee.vy": ("MAX_MEMBERS",),
    "contracts/oracle/limits.vy": (
        "HOUR",
        "MAX_FRAME",
        "MAX_DELAY",
        "MIN_LOSS_BPS",
        "MAX_LOSS_BPS",
        "MAX_WINDOW_BPS",
        "MIN_WINDOW",
        "MAX_WINDOW",
        "MIN_ALARM_BPS",
        "MAX_ALARM_BPS",
    ),
    "contracts/oracle/FeeSplitter.vy": ("MAX_TREASURY_BPS", "MAX_COVER_BPS"),
    "contracts/liquidity/reserve_terms.vy": ("MAX_FEE", "LOWEST_MIN_TICKET", "HIGHEST_MIN_TICKET"),
    "contracts/liquidity/pair_terms.vy": (
        "MIN_FEE",
        "MAX_FEE",
        "MIN_OFF_PEG",
        "MAX_OFF_PEG",
        "MAX_ADMIN_PPM",
        "MIN_AMPLIFICATION",
        "MAX_AMPLIFICATION",
    ),
}
ALIASES = {
    ("contracts/liquidity/reserve_terms.vy", "MAX_FEE"): "MAX_RESERVE_FEE",
    ("contracts/liquidity/pair_terms.vy", "MIN_FEE"): "MIN_PAIR_FEE",
    ("contracts/liquidity/pair_terms.vy", "MAX_FEE"): "MAX_PAIR_FEE",
}
"""Names here of constants that are called the same in two contracts."""


def local(**changes: Any) -> dict[str, Any]:
    """Return the content of a good parameter file; `changes` are by dotted name, with "__" for the dot."""
    content = config.load("local").model_dump()
    for name, value in changes.items():
        *path, last = name.split("__")
        place = content
        for part in path:
            place = place[part]
        place[last] = value
    return content


def constants(file: str) -> dict[str, int]:
    """Return all integer constants of a Vyper source."""
    text = (ROOT / file).read_text(encoding="utf-8")
    known: dict[str, int] = {}
    pattern = r"^(\w+): (?:public\()?constant\(uint256\)\)? = ([\w */+-]+?) *(?:#.*)?$"
    for name, expression in re.findall(pattern, text, re.MULTILINE):
        known[name] = int(eval(expression, {}, known))
    return known


@pytest.mark.parametrize("file", SOURCES)
def test_bounds__as_in_the_contract__equal(file):
    source = constants(file)
    mine = {name: getattr(config, ALIASES.get((file, name), name)) for name in SOURCES[file]}
    assert mine == {name: source[name] for name in SOURCES[file]}


def test_bounds__of_the_parameters__none_forgotten():
    for file in ("contracts/lib/parameters.vy", "contracts/oracle/limits.vy", "contracts/oracle/FeeSplitter.vy"):
        bounds = {name for name in constants(file) if name.startswith(("MIN_", "MAX_"))}
        assert bounds == set(SOURCES[file]) - {"HOUR"}


@pytest.mark.parametrize(
    ("model", "interface"),
    [
        (config.Parameters, "IFloePool"),
        (config.Registry, "IValidatorRegistry"),
        (config.Limits, "IReportOracle"),
        (config.Reserve, "IExitReserve"),
    ],
)
def test_parameters__order__that_of_the_struct(model, interface):
    text = (ROOT / f"interfaces/{interface}.vyi").read_text(encoding="utf-8")
    body = text.split("struct Parameters:")[1].split("\n\n")[0]
    assert list(model.model_fields) == re.findall(r"^    (\w+): (?:uint256|bool)", body, re.MULTILINE)


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return Protocol(Evm())


def deploy_registry(protocol: Protocol, content: dict[str, Any]) -> Any:
    """Deploy a registry with what a parameter file says."""
    parsed = config.parse(content)
    forks, parameters = parsed.beacon.fork_rows(), parsed.registry.as_tuple()
    constants = parsed.beacon.constants()
    return protocol.evm.deploy(
        "ValidatorRegistry", protocol.pool, protocol.admin, SOMEBODY, [], constants, forks, parameters
    )


@pytest.mark.parametrize("name", ["slashing_bps", "promise"])
@pytest.mark.parametrize("edge", [0, 1])
def test_registry__edges_of_the_parameter_file__those_of_the_contract(protocol, name, edge):
    value = EDGES[f"registry__{name}"][edge]
    registry = deploy_registry(protocol, local(**{f"registry__{name}": value}))
    assert getattr(registry.parameters(), name) == value
    beyond = config.Registry.model_construct(**{**local()["registry"], name: value + (1 if edge else -1)})
    with reverts("parameter: out of bounds"):
        registry.set_parameters(beyond.as_tuple(), sender=protocol.admin)


LIMITS = ("frame_epochs", "max_age", "resolve_time", "loss_bps", "window_bps", "window", "alarm_bps")


def deploy_oracle(protocol: Protocol, content: dict[str, Any]) -> Any:
    """Deploy an oracle with what a parameter file says."""
    parsed = config.parse(content)
    oracle, clock = parsed.oracle.resolved(DEPLOYER), parsed.beacon.clock()
    arguments = (oracle.members, oracle.quorum, clock, oracle.limits.as_tuple())
    return protocol.evm.deploy("ReportOracle", protocol.pool, protocol.admin, SOMEBODY, *arguments)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("edge", [0, 1])
def test_oracle__edges_of_the_parameter_file__those_of_the_contract(protocol, name, edge):
    value = EDGES[f"oracle__limits__{name}"][edge]
    content = local(**{**APART, f"oracle__limits__{name}": value})
    oracle = deploy_oracle(protocol, content)
    assert tuple(oracle.parameters()) == config.parse(content).oracle.limits.as_tuple()
    beyond = {**content["oracle"]["limits"], name: value + (1 if edge else -1)}
    with reverts("parameter: out of bounds"):
        oracle.set_parameters(tuple(beyond.values()), sender=protocol.admin)


def test_oracle__committee_of_the_parameter_file__that_of_the_contract(protocol):
    oracle = deploy_oracle(protocol, local(oracle__members=[SOMEBODY, "deployer", *OTHERS], oracle__quorum=3))
    assert oracle.members() == [SOMEBODY.lower(), DEPLOYER, *(one.lower() for one in OTHERS)]
    assert oracle.quorum() == 3
    for members, quorum in ([SOMEBODY, DEPLOYER], 1), ([SOMEBODY], 2), ([], 0):
        with reverts("committee: no majority"):
            oracle.set_committee(members, quorum, sender=protocol.admin)
        with pytest.raises(ConfigError, match=r"quorum must be more than half|at least 1"):
            config.parse(local(oracle__members=members, oracle__quorum=quorum))
    with reverts("committee: wrong members"):
        oracle.set_committee([SOMEBODY, SOMEBODY], 2, sender=protocol.admin)
    with pytest.raises(ConfigError, match=r"oracle: a member is named twice"):
        config.parse(local(oracle__members=[SOMEBODY, SOMEBODY.lower()], oracle__quorum=2))


def deploy_reserve(protocol: Protocol, content: dict[str, Any]) -> Any:
    """Deploy an exit reserve with what a parameter file says."""
    parameters = config.parse(content).liquidity.reserve.as_tuple()
    return protocol.evm.deploy("ExitReserve", protocol.pool, protocol.admin, parameters)


@pytest.mark.parametrize("name", ["fee_min", "fee_max", "target", "min_ticket"])
@pytest.mark.parametrize("edge", [0, 1])
def test_reserve__edges_of_the_parameter_file__those_of_the_contract(protocol, name, edge):
    value = EDGES[f"liquidity__reserve__{name}"][edge]
    content = local(**{f"liquidity__reserve__{name}": value})
    reserve = deploy_reserve(protocol, content)
    assert tuple(reserve.parameters()) == config.parse(content).liquidity.reserve.as_tuple()
    beyond = {**content["liquidity"]["reserve"], name: value + (1 if edge else -1)}
    if beyond[name] >= 0:
        with reverts("parameter: out of bounds"):
            reserve.set_parameters(tuple(beyond.values()), sender=protocol.admin)


def test_reserve__target_of_the_parameter_file__by_value_or_fixed(protocol):
    for of_value in (False, True):
        assert deploy_reserve(protocol, local(liquidity__reserve__of_value=of_value)).parameters().of_value is of_value
    with pytest.raises(ConfigError, match=r"liquidity\.reserve\.of_value"):
        config.parse(local(liquidity__reserve__of_value=1))
    with pytest.raises(ConfigError, match=r"liquidity\.reserve: fee_min must not exceed fee_max"):
        config.parse(local(liquidity__reserve__fee_min=20_001))


def deploy_pair(protocol: Protocol, pair: tuple[int, ...]) -> Any:
    return protocol.evm.deploy("StablePair", protocol.pool, protocol.admin, SOMEBODY, *pair)


@pytest.mark.parametrize("name", ["fee", "off_peg", "admin_ppm", "amplification"])
@pytest.mark.parametrize("edge", [0, 1])
def test_pair__edges_of_the_parameter_file__those_of_the_contract(protocol, name, edge):
    value = EDGES[f"liquidity__pair__{name}"][edge]
    content = local(**{f"liquidity__pair__{name}": value})
    wanted = config.parse(content).liquidity.pair
    pair = deploy_pair(protocol, wanted.as_tuple())
    live = pair.parameters()
    assert (live.fee, live.off_peg, live.admin_ppm, pair.amplification()) == wanted.as_tuple()
    beyond = {**content["liquidity"]["pair"], name: value + (1 if edge else -1)}
    if beyond[name] >= 0:
        with reverts("parameter: out of bounds"):
            deploy_pair(protocol, tuple(beyond.values()))


@pytest.mark.parametrize(
    ("weth", "problem"),
    [
        (None, "not an address"),
        ("deployer", "not an address, nor 'deploy'"),
        (0xC02AAA39B223FE8D0A0E5C4F27EAD9083C756CC2, "put quotes"),
        ("0x" + "00" * 20, "the zero address"),
        ("0xc02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", "wrong checksum"),
    ],
)
def test_parse__weth_that_is_none__refused(weth, problem):
    with pytest.raises(ConfigError, match=rf"liquidity\.weth: .*{problem}"):
        config.parse(local(liquidity__weth=weth))


def test_parse__weth_on_mainnet__is_named():
    content = named(yaml.safe_load((config.FOLDER / "mainnet.yaml").read_text(encoding="utf-8")))
    assert config.parse(content).liquidity.weth == "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
    content["liquidity"]["weth"] = "deploy"
    with pytest.raises(ConfigError, match=r"liquidity\.weth: mainnet has one; name its address"):
        config.parse(content)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"oracle__limits__max_age": 86_401}, "oracle.limits: max_age and resolve_time together must not exceed two"),
        ({"oracle__limits__loss_bps": 301}, "oracle.limits: loss_bps must not exceed window_bps"),
        ({"oracle__limits__frame_epochs": 6_301}, "a frame must not be longer than seven days"),
        ({"beacon__seconds_per_slot": 3_601}, "max_age must be at least 3 epochs, 86424 seconds"),
        ({"parameters__stale_after": 172_895}, "a frame, max_age and resolve_time together, 172896 seconds: an oracle"),
    ],
)
def test_parse__oracle_limits_that_do_not_fit_together__named(changes, problem):
    with pytest.raises(ConfigError) as caught:
        config.parse(local(**changes))
    assert str(caught.value).startswith("config: ")
    assert problem in str(caught.value)


def test_parse__oracle_limits_that_just_fit_together__accepted():
    for changes in ({"beacon__seconds_per_slot": 3_600}, {"parameters__stale_after": 172_896}):
        config.parse(local(**changes))


@pytest.mark.parametrize("network", ["mainnet", "hoodi", "local"])
def test_registry__beacon_section_of_a_committed_file__is_what_the_contract_knows(protocol, network):
    content = yaml.safe_load((config.FOLDER / f"{network}.yaml").read_text(encoding="utf-8"))
    registry = deploy_registry(protocol, {**local(), "beacon": content["beacon"]})
    parsed = config.parse({**local(), "beacon": content["beacon"]}).beacon
    known = registry.chain_constants()
    assert known.deposit_contract == DEPOSIT_CONTRACT.lower()
    assert (known.genesis_time, known.seconds_per_slot) == (parsed.genesis_time, 12)
    mainnet_sizes = network != "local"
    assert (known.slots_per_epoch, known.slashings_vector) == ((32, 8_192) if mainnet_sizes else (8, 64))
    rows = [(row.first_slot, row.validators_gindex, row.balances_gindex) for row in reversed(registry.forks())]
    assert rows == parsed.fork_rows()


def test_beacon__public_networks__forks_begin_when_the_execution_forks_do():
    """Prague and Osaka are scheduled by time, Electra and Fulu by epoch: a mistake in one shows."""
    times = {"mainnet": (1_746_612_311, 1_764_798_551), "hoodi": (1_742_999_832, 1_761_677_592)}
    for network, expected in times.items():
        content = yaml.safe_load((config.FOLDER / f"{network}.yaml").read_text(encoding="utf-8"))
        beacon = config.parse({**local(), "beacon": content["beacon"]}).beacon
        slots = [slot for slot, _, _ in beacon.fork_rows()]
        assert tuple(beacon.genesis_time + slot * beacon.seconds_per_slot for slot in slots) == expected


def test_fork_rows__electra_and_later__state_tree_of_64_leaves():
    """Field 11 of 64 leaves, then the list's length, then 2**40 validators; balances are field 12, four in a chunk."""
    for _, validators, balances in config.load("hoodi").beacon.fork_rows():
        assert validators == (64 + 11) * 2 * 2**40
        assert balances == (64 + 12) * 2 * 2**38


def named(content: dict[str, Any]) -> dict[str, Any]:
    """Put accounts into a parameter file."""
    content["roles"] = {
        name: [SOMEBODY] if isinstance(value, list) else SOMEBODY for name, value in local()["roles"].items()
    }
    content["oracle"] |= {"members": [SOMEBODY, *OTHERS], "quorum": 2}
    content["fees"]["treasury"] = SOMEBODY
    return content


@pytest.mark.parametrize("network", config.networks())
def test_load__every_committed_file__good_once_roles_are_named(network):
    content = named(yaml.safe_load((config.FOLDER / f"{network}.yaml").read_text(encoding="utf-8")))
    assert config.parse(content).chain_id == {"local": 31337, "hoodi": 560048, "mainnet": 1}[network]


def test_load__mainnet_as_committed__asks_for_every_role():
    with pytest.raises(ConfigError) as caught:
        config.load("mainnet")
    for name in ("oracle.members", "oracle.quorum", "fees.treasury", "roles.council", "roles.proposers"):
        assert f"config/mainnet.yaml: {name}:" in str(caught.value)


def test_load__fork__takes_the_file_of_what_it_forks():
    assert config.load("hoodi-fork") == config.load("hoodi")


def test_load__no_file__names_those_there_are(tmp_path):
    (tmp_path / "here.yaml").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no such file \(there are: here\)"):
        config.load("there", tmp_path)


def test_load__not_yaml__says_so(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(ConfigError, match="not YAML"):
        config.load("bad", tmp_path)


EDGES = {
    "seed": (config.MIN_SEED, 10**18),
    "deposit_ceiling_gwei": (0, config.MAX_CEILING_GWEI),
    "timelock_delay": (config.MIN_DELAY, 365 * 86_400),
    "confirmations": (0, 64),
    "parameters__fee_bps": (0, config.MAX_FEE_BPS),
    "parameters__rise_bps": (config.MIN_RISE_BPS, config.MAX_RISE_BPS),
    "parameters__target_bps": (0, config.MAX_TARGET_BPS),
    "parameters__allowance_bps": (0, config.MAX_ALLOWANCE_BPS),
    "parameters__instant_fee_min": (0, 30_000),
    "parameters__instant_fee_max": (1_000, config.MAX_INSTANT_FEE),
    "parameters__period": (config.MIN_PERIOD, config.MAX_PERIOD),
    "parameters__stale_after": (config.MIN_STALE_AFTER, config.MAX_STALE_AFTER),
    "oracle__limits__frame_epochs": (1, 6_300),
    "oracle__limits__max_age": (config.HOUR, config.MAX_DELAY - config.HOUR),
    "oracle__limits__resolve_time": (config.HOUR, config.MAX_DELAY - config.HOUR),
    "oracle__limits__loss_bps": (config.MIN_LOSS_BPS, config.MAX_LOSS_BPS),
    "oracle__limits__window_bps": (config.MIN_LOSS_BPS, config.MAX_WINDOW_BPS),
    "oracle__limits__window": (config.MIN_WINDOW, config.MAX_WINDOW),
    "oracle__limits__alarm_bps": (config.MIN_ALARM_BPS, config.MAX_ALARM_BPS),
    "fees__treasury_bps": (0, config.MAX_TREASURY_BPS),
    "fees__cover_bps": (0, config.MAX_COVER_BPS),
    "liquidity__reserve__fee_min": (0, 20_000),
    "liquidity__reserve__fee_max": (500, config.MAX_RESERVE_FEE),
    "liquidity__reserve__target": (0, config.U96),
    "liquidity__reserve__min_ticket": (config.LOWEST_MIN_TICKET, config.HIGHEST_MIN_TICKET),
    "liquidity__pair__fee": (config.MIN_PAIR_FEE, config.MAX_PAIR_FEE),
    "liquidity__pair__off_peg": (config.MIN_OFF_PEG, config.MAX_OFF_PEG),
    "liquidity__pair__admin_ppm": (0, config.MAX_ADMIN_PPM),
    "liquidity__pair__amplification": (config.MIN_AMPLIFICATION, config.MAX_AMPLIFICATION),
    "registry__slashing_bps": (1, config.BPS),
    "registry__promise": (config.MIN_PROMISE, config.MAX_PROMISE),
    "beacon__genesis_time": (1, 2**64 - 1),
    "beacon__seconds_per_slot": (1, 150),
}

APART = {
    "oracle__limits__max_age": config.HOUR,
    "oracle__limits__resolve_time": config.HOUR,
    "oracle__limits__loss_bps": config.MIN_LOSS_BPS,
    "oracle__limits__window_bps": config.MAX_WINDOW_BPS,
    "parameters__stale_after": config.MAX_STALE_AFTER,
}
"""Values with which no limit is in the way of another one."""


@pytest.mark.parametrize("name", EDGES)
def test_parse__at_the_edges__accepted_and_beyond_refused(name):
    low, high = EDGES[name]
    for good in (low, high):
        config.parse(local(**{**APART, name: good}))
    for bad in (low - 1, high + 1):
        with pytest.raises(ConfigError, match=name.split("__")[-1]):
            config.parse(local(**{**APART, name: bad}))


@pytest.mark.parametrize("bad", [1.5, "1000", True, None])
def test_parse__no_whole_number__refused(bad):
    with pytest.raises(ConfigError, match=r"parameters\.fee_bps"):
        config.parse(local(parameters__fee_bps=bad))


@pytest.mark.parametrize(
    ("account", "problem"),
    [
        (None, "name the account"),
        ("0x1234", "not an address"),
        ("anyone", "not an address"),
        (0xD8DA6BF26964AF9D7EED9E03E53415D37AA96045, "quotes"),
        (SOMEBODY.replace("d8dA", "D8dA"), "checksum"),
        ("0x" + "00" * 20, "zero address"),
    ],
)
def test_parse__role_that_is_no_account__refused(account, problem):
    with pytest.raises(ConfigError, match=rf"roles\.council: .*{problem}"):
        config.parse(local(roles__council=account))


@pytest.mark.parametrize(
    ("forks", "problem"),
    [
        ({}, "at least 1 item"),
        ({"fulu": 1, "elektra": 0}, "no such fork here: elektra"),
        ({"electra": 5, "fulu": 5}, "must rise from fork to fork"),
        ({"electra": 5, "fulu": 4}, "must rise from fork to fork"),
        ({"fulu": -1}, "greater than or equal to 0"),
        ({"fulu": 2**58}, "less than"),
    ],
)
def test_parse__forks__refused(forks, problem):
    with pytest.raises(ConfigError, match=rf"beacon(\.forks.*)?: .*{problem}"):
        config.parse(local(beacon__forks=forks))


@pytest.mark.parametrize(
    ("address", "problem"),
    [("deployer", "not an address"), (None, "not an address"), ("0x" + "00" * 20, "zero address"), (5, "quotes")],
)
def test_parse__deposit_contract_that_is_no_address__refused(address, problem):
    with pytest.raises(ConfigError, match=rf"beacon\.deposit_contract: .*{problem}"):
        config.parse(local(beacon__deposit_contract=address))


def test_parse__unknown_and_missing_names__both_named():
    content = local(roles__pauser=SOMEBODY)
    del content["seed"]
    with pytest.raises(ConfigError) as caught:
        config.parse(content, "file")
    assert str(caught.value).splitlines() == [
        "file: seed: Field required",
        "file: roles.pauser: Extra inputs are not permitted",
    ]


def test_parse__deployer_on_mainnet__may_hold_no_role():
    named = r"oracle\.members, fees\.treasury, roles\.council, roles\.keepers"
    with pytest.raises(ConfigError, match=f"on mainnet the deployer may hold no role: {named}"):
        config.parse(local(chain_id=1))


def test_roles__resolved__words_become_addresses():
    local = config.load("local")
    roles = local.roles.resolved(DEPLOYER)
    assert (roles.council, roles.proposers, roles.executors) == (DEPLOYER, [DEPLOYER], [config.ZERO_ADDRESS])
    assert local.oracle.resolved(DEPLOYER).members == [DEPLOYER]
    assert local.oracle.resolved(DEPLOYER).limits == local.oracle.limits
    assert local.fees.resolved(DEPLOYER).treasury == DEPLOYER


def test_digest__any_value_changed__differs():
    base = config.load("local")
    assert base.digest() == config.parse(local()).digest()
    apart = config.parse(local(**APART))
    changed = [config.parse(local(**{**APART, name: high - 1})).digest() for name, (_, high) in EDGES.items()]
    assert len({base.digest(), apart.digest(), *changed}) == len(EDGES) + 2
