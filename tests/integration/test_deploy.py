"""Deployment: plan, execute, verify, record; and what interrupts it. Runs on any development chain."""

from __future__ import annotations

import json

import ape
import pytest
from click.testing import CliRunner

from floe import build
from floe.deploy import config as configs
from floe.deploy import execute, record, verify
from floe.deploy.execute import DeployError, deploy
from floe.deploy.plan import ORDER, WETH, Code, contract_address, expected_code, order, plan
from scripts.deploy import cli


class InterruptionError(Exception):
    """Stands for a crash, a lost connection, a pulled plug."""


def stop_at(number):
    """Return a `say` that fails at the given line: when a contract is on chain and not yet in the record."""
    lines = []

    def say(line):
        lines.append(line)
        if len(lines) == number:
            raise InterruptionError

    return say


def differing(checks):
    return [(check.contract, check.subject) for check in checks if not check.holds]


def nonce(account):
    return ape.networks.active_provider.web3.eth.get_transaction_count(account.address)


def test_deploy__fresh_account__all_of_it_reads_back(actors, config, file):
    first = nonce(actors["deployer"])
    done = deploy(actors["deployer"], config, file)
    checks = verify.verify(done, config)
    assert differing(checks) == []
    names = order(config)
    assert tuple(done.contracts) == names
    assert [item.address for item in done.contracts.values()] == [
        contract_address(actors["deployer"].address, first + i) for i in range(len(names))
    ]
    assert {check.contract for check in checks} == set(names)
    # Of WETH, where it is the chain's own, neither code nor address is compared.
    assert len(checks) == (124 if WETH in names else 122)


def test_deploy__done__the_record_says_what_is_on_chain(actors, config, file):
    done = deploy(actors["deployer"], config, file)
    eth = ape.networks.active_provider.web3.eth
    assert record.read(file) == done
    assert done.complete
    assert json.loads(file.read_text(encoding="utf-8"))["config"] == config.model_dump()
    for name, item in done.contracts.items():
        receipt = eth.get_transaction_receipt(item.transaction)
        assert (receipt["contractAddress"], receipt["blockNumber"]) == (item.address, item.block)
        sent = eth.get_transaction(item.transaction)
        assert (sent["nonce"], sent["value"]) == (item.nonce, item.value)
        assert bytes(sent["input"]) == build.load(name).deploy_code(*item.arguments)


def test_deploy__done_already__sends_nothing(actors, config, file):
    done = deploy(actors["deployer"], config, file)
    before = nonce(actors["deployer"])
    assert deploy(actors["deployer"], config, file) == done
    assert nonce(actors["deployer"]) == before


@pytest.mark.parametrize("line", [1, 2, 5, len(ORDER)])
def test_deploy__stopped_before_the_record_knew__goes_on(actors, config, file, line):
    first = nonce(actors["deployer"])
    with pytest.raises(InterruptionError):
        deploy(actors["deployer"], config, file, stop_at(line))
    assert nonce(actors["deployer"]) == first + line
    done = deploy(actors["deployer"], config, file)
    # The first contract alone leaves no record: then everything starts again, one nonce later.
    assert done.first_nonce == (first + 1 if line == 1 else first)
    assert nonce(actors["deployer"]) == done.first_nonce + len(order(config))
    assert differing(verify.verify(done, config)) == []
    eth = ape.networks.active_provider.web3.eth
    for item in done.contracts.values():
        assert eth.get_transaction_receipt(item.transaction)["contractAddress"] == item.address


def test_deploy__stopped_again_and_again__goes_on_every_time(actors, config, file):
    first = nonce(actors["deployer"])
    deploy_one_more = stop_at(2)
    with pytest.raises(InterruptionError):
        deploy(actors["deployer"], config, file, deploy_one_more)
    for line in range(3, len(order(config)) + 1):
        with pytest.raises(InterruptionError):
            deploy(actors["deployer"], config, file, stop_at(line))
    done = deploy(actors["deployer"], config, file)
    assert nonce(actors["deployer"]) == first + len(order(config))
    assert differing(verify.verify(done, config)) == []


def test_deploy__strangers_meddle_all_along__nothing_changes(actors, config, file):
    """Addresses can be foreseen: they get ETH before there is code, and stakes before there is a queue."""
    deployer, outsider = actors["deployer"], actors["outsider"]
    for step in plan(config, deployer.address, nonce(deployer)):
        outsider.transfer(step.address, 10**9)

    def meddle(line):
        if line.startswith("FloePool"):
            outsider.transfer(line.split()[1], 10**18)

    done = deploy(deployer, config, file, meddle)
    assert differing(verify.verify(done, config)) == []
    contracts = verify.contracts(done)
    pool = contracts["FloePool"]
    assert pool.totalSupply() == pool.totalAssets() == config.seed + 10**18
    assert pool.balance == pool.totalAssets() + 10**9
    ticket = contracts["WithdrawalQueue"].request(10**18, outsider, sender=outsider)
    assert len(ticket.events.filter(contracts["WithdrawalQueue"].Requested)) == 1


@pytest.mark.parametrize("line", [2, 4, 5])
def test_deploy__nonce_used_for_something_else__stops_for_good(actors, config, file, line):
    with pytest.raises(InterruptionError):
        deploy(actors["deployer"], config, file, stop_at(line))
    kept = file.read_text(encoding="utf-8")
    actors["deployer"].transfer(actors["outsider"], 1)
    before = nonce(actors["deployer"])
    for _ in range(2):
        with pytest.raises(DeployError, match=f"planned for {ORDER[line]} at .* can never be completed"):
            deploy(actors["deployer"], config, file)
    assert nonce(actors["deployer"]) == before
    # Only what was there already has been added.
    assert len(json.loads(file.read_text(encoding="utf-8"))["contracts"]) == line >= len(json.loads(kept)["contracts"])


def test_deploy__transaction_in_the_mempool__sends_nothing(actors, config, file):
    provider = ape.networks.active_provider
    provider.make_request("evm_setAutomine", [False])
    try:
        transaction = {"from": actors["deployer"].address, "to": actors["outsider"].address, "value": "0x1"}
        provider.make_request("eth_sendTransaction", [transaction])
        with pytest.raises(DeployError, match="waits in the mempool"):
            deploy(actors["deployer"], config, file)
        assert nonce(actors["deployer"]) + 1 == provider.web3.eth.get_transaction_count(
            actors["deployer"].address, "pending"
        )
    finally:
        provider.mine(1)
        provider.make_request("evm_setAutomine", [True])
    assert not file.exists()
    assert deploy(actors["deployer"], config, file).complete


def test_deploy__chain_went_back__waits(actors, config, file):
    chain = ape.chain
    with pytest.raises(InterruptionError):
        deploy(actors["deployer"], config, file, stop_at(3))
    snapshot = chain.snapshot()
    with pytest.raises(InterruptionError):
        deploy(actors["deployer"], config, file, stop_at(6))
    chain.restore(snapshot)
    # The record knows contracts that the chain has forgotten.
    with pytest.raises(DeployError, match="is not what the sources compile to"):
        deploy(actors["deployer"], config, file)


def test_deploy__other_parameters__refused(actors, config, file):
    with pytest.raises(InterruptionError):
        deploy(actors["deployer"], config, file, stop_at(3))
    other = configs.parse({**config.model_dump(), "seed": config.seed + 1})
    seed = rf"the parameters differ .* at seed \({config.seed} there, {config.seed + 1} now\)"
    with pytest.raises(DeployError, match=seed):
        deploy(actors["deployer"], other, file)
    epoch = config.beacon.forks["fulu"]
    beacon = {**config.model_dump()["beacon"], "forks": {**config.beacon.forks, "fulu": epoch + 1}}
    other = configs.parse({**config.model_dump(), "beacon": beacon})
    with pytest.raises(DeployError, match=rf"at beacon\.forks\.fulu \({epoch} there, {epoch + 1} now\)"):
        deploy(actors["deployer"], other, file)


def test_deploy__public_chain_without_deposit_contract__sends_nothing(actors, config, file, monkeypatch):
    beacon = {**config.model_dump()["beacon"], "deposit_contract": actors["outsider"].address}
    wrong = configs.parse({**config.model_dump(), "beacon": beacon})
    monkeypatch.setattr(execute, "is_development", lambda _: False)
    before = nonce(actors["deployer"])
    with pytest.raises(DeployError, match=r"no deposit contract at .*: is beacon\.deposit_contract right\?"):
        deploy(actors["deployer"], wrong, file)
    assert nonce(actors["deployer"]) == before


def test_deploy__other_account__refused(actors, config, file):
    with pytest.raises(InterruptionError):
        deploy(actors["deployer"], config, file, stop_at(3))
    with pytest.raises(DeployError, match="only that account can go on"):
        deploy(actors["outsider"], config, file)


def test_deploy__parameters_of_another_chain__refused(actors, config, file):
    other = configs.parse({**config.model_dump(), "chain_id": config.chain_id + 1})
    with pytest.raises(DeployError, match="is for chain"):
        deploy(actors["deployer"], other, file)
    assert not file.exists()


def test_deploy__record_of_a_chain_that_is_gone__kept_and_starts_again(actors, config, file, monkeypatch):
    monkeypatch.setattr(execute, "is_passing", lambda _: False)
    done = deploy(actors["deployer"], config, file)
    other = done.model_copy(update={"genesis": "0x" + "00" * 32})
    record.write(other, file)
    lines: list[str] = []
    again = deploy(actors["deployer"], config, file, lines.append)
    assert again.first_nonce == done.first_nonce + len(order(config))
    assert lines[0] == "here.json was the record of another chain: it is now here.00000000.json"
    assert record.read(file.with_name("here.00000000.json")) == other
    assert record.read(file) == again


def test_deploy__record_of_another_public_chain__refused(actors, config, file, monkeypatch):
    done = deploy(actors["deployer"], config, file)
    record.write(done.model_copy(update={"genesis": "0x" + "00" * 32}), file)
    monkeypatch.setattr(execute, "is_development", lambda _: False)
    with pytest.raises(DeployError, match="is not on this chain"):
        deploy(actors["deployer"], config, file)


def test_deploy__damaged_record__says_which(actors, config, file):
    file.parent.mkdir()
    file.write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(record.RecordError, match=r"here\.json: not a deployment record"):
        deploy(actors["deployer"], config, file)


def test_record__contract_not_there_yet__says_what_to_do(actors, config, file):
    with pytest.raises(InterruptionError):
        deploy(actors["deployer"], config, file, stop_at(3))
    partial = record.read(file)
    assert partial is not None
    assert not partial.complete
    with pytest.raises(record.RecordError, match="Lens is not deployed"):
        partial.address("Lens")


def test_deploy__sources_changed_meanwhile__sends_nothing(actors, config, file, monkeypatch):
    class Stale:
        Timelock = ape.project.ExecutionVault

    monkeypatch.setattr(ape, "project", Stale)
    before = nonce(actors["deployer"])
    with pytest.raises(DeployError, match="sources of Timelock changed"):
        deploy(actors["deployer"], config, file)
    assert nonce(actors["deployer"]) == before


# --- the command, where nothing needs to be sent ---


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run `ape run deploy` with records in a folder of the test. What it says of a bare URI holds on a local chain."""
    if execute.network_name(ape.networks.active_provider) != "local":
        pytest.skip("the connected chain is a fork: a bare URI is then taken for another node of the forked network")
    monkeypatch.setattr(record, "path", lambda network, folder=tmp_path: folder / f"{network}.json")
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def test_deploy_command__account_that_does_not_exist__one_line(command):
    done = command("--network", ape.networks.active_provider.uri, "--account", "nobody-here")
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "Error: no account 'nobody-here': `ape accounts import nobody-here`" in done.output


def test_deploy_command__no_node__says_where(command):
    done = command("--network", "http://127.0.0.1:9")
    assert (done.exit_code, done.output) == (
        1,
        "Error: no node answers on http://127.0.0.1:9: start it (`anvil`), or correct --network\n",
    )


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", "no node for ethereum:hoodi:node: set WEB3_PROVIDER_URI to the address of yours"),
        ("http://127.0.0.1:9", "the node of ethereum:hoodi:node does not answer: is WEB3_PROVIDER_URI right?"),
    ],
)
def test_deploy_command__public_network_without_a_node__names_the_variable(command, monkeypatch, uri, reason):
    monkeypatch.setenv("WEB3_PROVIDER_URI", uri)
    done = command("--network", "ethereum:hoodi:node")
    assert (done.exit_code, done.output) == (1, f"Error: {reason}\n")


# --- verify sees what is wrong ---


@pytest.fixture(scope="module")
def done(actors, config, tmp_path_factory):
    return deploy(actors["deployer"], config, tmp_path_factory.mktemp("deployed") / "here.json")


@pytest.mark.parametrize("name", ORDER)
def test_verify__one_byte_of_code_differs__seen(done, config, name):
    provider = ape.networks.active_provider
    address = done.contracts[name].address
    code = bytearray(provider.web3.eth.get_code(address))
    # The last byte is an immutable's, but for the timelock, which has none.
    code[-1] ^= 1
    provider.make_request("anvil_setCode", [address, "0x" + code.hex()])
    assert differing(verify.verify(done, config)) == [(name, "code and immutables")]


def test_verify__chain_has_other_values__every_one_seen(done, config, actors):
    content = config.model_dump()
    outsider = actors["outsider"].address
    content["roles"] = {
        name: [outsider] if isinstance(old, list) else outsider for name, old in content["roles"].items()
    }
    content["oracle"] |= {"members": [outsider, actors["deployer"].address], "quorum": 2}
    limits = content["oracle"]["limits"]
    content["oracle"]["limits"] = {name: value - (name != "frame_epochs") for name, value in limits.items()}
    content["oracle"]["limits"]["frame_epochs"] += 1
    content["fees"] = {name: outsider if name == "treasury" else value + 1 for name, value in content["fees"].items()}
    reserve = content["liquidity"]["reserve"]
    content["liquidity"]["reserve"] = {
        name: not old if name == "of_value" else old + 1 for name, old in reserve.items()
    }
    content["liquidity"]["pair"] = {name: value + 1 for name, value in content["liquidity"]["pair"].items()}
    for section in ("parameters", "registry"):
        content[section] = {name: value + 1 for name, value in content[section].items()}
    for name in ("seed", "deposit_ceiling_gwei", "timelock_delay"):
        content[name] += 1
    assert sorted(differing(verify.verify(done, configs.parse(content)))) == sorted(
        [
            ("FloePool", "seed, nobody's shares"),
            ("FloePool", "deposit ceiling, Gwei"),
            *(("FloePool", name) for name in configs.Parameters.model_fields),
            ("ValidatorRegistry", "OPERATORS_ROLE"),
            ("ValidatorRegistry", "KEEPER_ROLE"),
            *(("ValidatorRegistry", name) for name in configs.Registry.model_fields),
            ("ReportOracle", "COUNCIL_ROLE"),
            ("ReportOracle", "members"),
            ("ReportOracle", "quorum"),
            *(("ReportOracle", name) for name in configs.Limits.model_fields),
            ("FeeSplitter", "COUNCIL_ROLE"),
            *(("FeeSplitter", name) for name in configs.Fees.model_fields),
            *(("ExitReserve", name) for name in configs.Reserve.model_fields),
            *(("StablePair", name) for name in ("fee", "off_peg", "admin_ppm", "amplification, hundredths")),
            ("StablePair", "fee receiver"),
            ("Pauser", "KEY_ROLE"),
            ("Pauser", "RESUME_ROLE"),
            ("Timelock", "PROPOSER_ROLE"),
            ("Timelock", "CANCELLER_ROLE"),
            ("Timelock", "EXECUTOR_ROLE"),
            ("Timelock", "delay, seconds"),
        ]
    )


def test_verify__reward_token_added__seen(done, config):
    provider = ape.networks.active_provider
    gauge, timelock, token = (verify.contracts(done)[name] for name in ("Gauge", "Timelock", "FloePool"))
    provider.set_balance(timelock.address, 10**18)
    gauge.add_reward(token, timelock, 7 * 86_400, sender=ape.accounts[timelock.address])
    assert differing(verify.verify(done, config)) == [("Gauge", "reward tokens")]


def test_verify__role_given_to_one_more__seen(done, config, actors):
    provider = ape.networks.active_provider
    pool, timelock = (verify.contracts(done)[name] for name in ("FloePool", "Timelock"))
    provider.set_balance(timelock.address, 10**18)
    admin = ape.accounts[timelock.address]
    for role in (pool.ORACLE_ROLE(), pool.PAUSER_ROLE(), b"\x01" * 32):
        pool.grantRole(role, actors["outsider"], sender=admin)
    assert differing(verify.verify(done, config)) == [
        ("FloePool", "unknown role 0x" + "01" * 32),
        ("FloePool", "ORACLE_ROLE"),
        ("FloePool", "PAUSER_ROLE"),
    ]


# --- WETH ---


def with_weth(config, address):
    """Return parameters that name WETH's address."""
    content = config.model_dump()
    return configs.parse({**content, "liquidity": {**content["liquidity"], "weth": address}})


def test_deploy__chain_has_weth__that_is_used_and_none_deployed(actors, config, file):
    there = actors["outsider"].deploy(ape.project.WETH9)
    named = with_weth(config, there.address)
    done = deploy(actors["deployer"], named, file)
    assert order(named) == ORDER == tuple(done.contracts)
    checks = verify.verify(done, named)
    assert differing(checks) == []
    assert [check.found for check in checks if check.subject == "WETH"] == [there.address]
    at = verify.contracts(done)
    assert at["WethVault"].asset() == at[WETH].address == done.address(WETH) == there.address


def test_deploy__public_chain_without_that_weth__sends_nothing(actors, config, file, monkeypatch):
    named = with_weth(config, actors["outsider"].address)
    monkeypatch.setattr(execute, "is_development", lambda _: False)
    monkeypatch.setattr(execute, "has_deposit_contract", lambda *_: True)
    before = nonce(actors["deployer"])
    with pytest.raises(DeployError, match=r"no WETH at .*: is liquidity\.weth right\?"):
        deploy(actors["deployer"], named, file)
    assert nonce(actors["deployer"]) == before


# --- the plan ---


def test_plan__an_immutable_that_is_not_known__refused(config, actors):
    steps = plan(config, actors["deployer"].address, 0)
    at = {step.contract: step.address for step in steps}
    artifact = build.load("WithdrawalQueue")
    layout = {**artifact.layout, "code_layout": {"NEW": {"type": "address", "offset": 0, "length": 32}}}
    unknown = build.Artifact(**{**vars(artifact), "layout": layout})
    with pytest.raises(build.BuildError, match="does not know the immutable NEW"):
        expected_code(unknown, at, config)


def test_code__only_free_places_may_differ():
    code = Code(b"abcd", (range(1, 3),))
    assert code.matches(b"axyd")
    assert not code.matches(b"xbcd")
    assert not code.matches(b"abcx")
    assert not code.matches(b"abcde")
