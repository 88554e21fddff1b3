"""What has gone wrong elsewhere with deposits, validators and proofs. Numbers are the rows of tests/THREATS.md.

Rows that concern one function alone are tried in that function's file.
"""

from __future__ import annotations

from random import Random

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from floe.beacon.deposit import DepositData
from floe.beacon.ssz import key_of
from floe.devnet.system_contracts import DEPOSIT_CONTRACT
from floe.model.beacon import FAR_FUTURE, GWEI_IN_ETHER
from tests.beacon import (
    COUNCIL,
    DEPOSIT_TIME,
    KEEPER,
    LIMITS,
    MANAGER,
    OTHER_MANAGER,
    REQUEST_TIME,
    REWARDS,
    State,
    Validators,
    deploy_registry,
    deposits,
    pubkey_of,
    signature_of,
    withdrawal_requests,
)
from tests.evm import DAY, ETHER, Contract, RevertError, reverts
from tests.protocol import OUTSIDER, SAVER, STAKER, U96

GWEI = 10**9


class DepositQueue:
    """A beacon chain's way with deposits: the first one for a key says to whom it withdraws, whatever comes later."""

    def __init__(self, validators: Validators) -> None:
        self.validators = validators
        self.index: dict[bytes, int] = {}
        self.ours: dict[bytes, int] = {}
        """Gwei of the pool's that went to each key."""

    def take(self, dropped: bool = False) -> None:
        """Process what the deposit contract logged in the last transaction; `dropped`: with wrong signatures."""
        v = self.validators
        for deposit in deposits(v.evm):
            known = self.index.get(deposit.pubkey)
            if known is not None:
                v.arrive(known, deposit.amount)
            elif not dropped:
                key = key_of(deposit.pubkey)
                self.index[deposit.pubkey] = v.beacon.add(key, deposit.withdrawal_credentials, deposit.amount)
                v.pubkeys[self.index[deposit.pubkey]] = deposit.pubkey

    def directly(self, number: int, credentials: bytes, gwei: int = GWEI_IN_ETHER, sender: str = MANAGER) -> None:
        """Let somebody use the deposit contract without us."""
        data = DepositData(
            pubkey=pubkey_of(number), withdrawal_credentials=credentials, amount=gwei, signature=signature_of(number)
        )
        arguments = encode(
            ["bytes", "bytes", "bytes", "bytes32"],
            [data.pubkey, data.withdrawal_credentials, data.signature, data.root],
        )
        call = keccak(text="deposit(bytes,bytes,bytes,bytes32)")[:4] + arguments
        evm = self.validators.evm
        evm.call(Contract(evm, "deposit contract", DEPOSIT_CONTRACT), "deposit", call, sender, gwei * GWEI)
        self.take()

    def predeposit(self, number: int, operator: int = 1, dropped: bool = False) -> None:
        """Let an operator predeposit a key."""
        v = self.validators
        manager = (MANAGER, OTHER_MANAGER)[operator - 1]
        v.registry.predeposit(operator, pubkey_of(number), signature_of(number), sender=manager, value=ETHER)
        self.take(dropped)

    def top_up(self, number: int, gwei: int) -> None:
        """Let anybody try to send the pool's ETH after it."""
        v = self.validators
        if pubkey_of(number) in self.index:
            v.prove(self.index[pubkey_of(number)])
        v.registry.top_up(pubkey_of(number), [gwei])
        bought = v.evm.events(v.registry, "ToppedUp")[0].fields["bought"]
        self.ours[pubkey_of(number)] = self.ours.get(pubkey_of(number), 0) + gwei + bought
        self.take()

    def check(self) -> None:
        """Demand that all ETH of the pool lies where the chain will withdraw it to us."""
        v = self.validators
        for pubkey, gwei in self.ours.items():
            validator = v.beacon.validators[self.index[pubkey]]
            assert validator.credentials == v.credentials
            assert validator.balance >= gwei


@pytest.fixture
def queue(validators: Validators) -> DepositQueue:
    return DepositQueue(validators)


def theirs(kind: str = "02") -> bytes:
    """Return an operator's own withdrawal credentials."""
    return bytes.fromhex(kind) + bytes(11) + bytes.fromhex(MANAGER[2:])


# --- deposits ---


@pytest.mark.parametrize("gwei", [GWEI_IN_ETHER, 32 * GWEI_IN_ETHER])
@pytest.mark.parametrize("kind", ["00", "01", "02"])
def test_bad_001_front_run__operator_deposits_first_with_its_own_credentials__costs_the_pool_nothing(
    queue: DepositQueue, kind: str, gwei: int
):
    v = queue.validators
    before = [v.evm.balance(v.pool), v.pool.outside(), v.pool.state()[5]]
    queue.directly(1, theirs(kind), gwei)
    queue.predeposit(1)
    index = queue.index[pubkey_of(1)]
    assert v.beacon.validators[index].balance == gwei + GWEI_IN_ETHER
    with reverts("validator: not in this state"):
        v.registry.top_up(pubkey_of(1), [31 * GWEI_IN_ETHER])
    v.prove(index)
    assert v.state(index) == State.COMPROMISED
    with reverts("validator: not in this state"):
        v.registry.top_up(pubkey_of(1), [31 * GWEI_IN_ETHER])
    assert [v.evm.balance(v.pool), v.pool.outside(), v.pool.state()[5]] == before
    assert v.registry.operator(1).bond == 0, "its ETH is in its own validator, not in its bond"
    v.check()


def test_bad_001_front_run__own_credentials_after_ours__are_a_gift_to_us(queue: DepositQueue):
    """What comes second changes nothing: more of the operator's ETH lies in a validator of ours."""
    v = queue.validators
    queue.predeposit(1)
    queue.directly(1, theirs(), 40 * GWEI_IN_ETHER)
    queue.top_up(1, 31 * GWEI_IN_ETHER)
    queue.check()
    v.prove(queue.index[pubkey_of(1)])
    assert v.record(queue.index[pubkey_of(1)]).stake == 72 * GWEI_IN_ETHER
    v.check()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ours first", "theirs", "stranger's", "predeposit", "dropped", "prove", "top up"]),
        st.integers(1, 3),
    ),
    min_size=4,
    max_size=25,
)


@settings(max_examples=60)
@given(steps=STEPS)
def test_bad_001_front_run__any_order_of_deposits_and_calls__all_our_ether_withdraws_to_us(
    validators: Validators, steps: list[tuple[str, int]]
):
    with validators.evm.undone():
        queue = DepositQueue(validators.copy())
        for step, number in steps:
            try:
                play(queue, step, number)
            except RevertError as error:
                assert error.reason in (
                    "validator: known already",
                    "validator: not in this state",
                    "stake: not 32 to 2048 ETH",
                ), error
            queue.check()


def play(queue: DepositQueue, step: str, number: int) -> None:
    """Take one step with one key."""
    v = queue.validators
    credentials = {"ours first": v.credentials, "theirs": theirs(), "stranger's": theirs("01")}
    if step in credentials:
        queue.directly(number, credentials[step])
    elif step in ("predeposit", "dropped"):
        queue.predeposit(number, operator=1 + number % 2, dropped=step == "dropped")
    elif pubkey_of(number) in queue.index:
        if step == "prove":
            v.prove(queue.index[pubkey_of(number)])
        else:
            queue.top_up(number, 40 * GWEI_IN_ETHER)


@pytest.mark.parametrize("function", ["predeposit", "top_up"])
def test_bad_003_reentry__deposit_contract_that_calls_back__is_locked_out(validators: Validators, function: str):
    """The real one calls nobody; here a wallet takes its place and calls everything that moves ETH."""
    evm, wallet = validators.evm, validators.protocol.wallet()
    registry = deploy_registry(validators.protocol, validators.beacon, deposit_contract=wallet.address)
    validators.registry = registry
    validators.pool.grantRole(validators.pool.REGISTRY_ROLE(), registry, sender=validators.protocol.admin)
    for manager in (MANAGER, wallet):
        registry.add_operator(manager, wallet, 100, 10, sender=COUNCIL)
    registry.add_bond(2, sender=OUTSIDER, value=5 * ETHER)
    indices = validators.predeposit(2)
    validators.prove(*indices)
    proof = validators.proof(*indices)
    arguments = (validators.keys(*indices), [31 * GWEI_IN_ETHER] * 2)
    backs = [
        registry.encode("predeposit", 2, pubkey_of(90), signature_of(90)),
        registry.encode("top_up", *arguments),
        registry.encode("withdraw_bond", 2, GWEI_IN_ETHER),
        registry.encode("prove", proof),
        registry.encode("add_bond", 2),
    ]
    for back in backs:
        with evm.undone():
            wallet.react_with(registry, back)
            before = registry.operator(2)
            if function == "predeposit":
                registry.predeposit(1, pubkey_of(91), signature_of(91), sender=MANAGER, value=ETHER)
            else:
                registry.top_up(*arguments)
            found = [event.fields["success"] for event in evm.events(wallet, "Reacted")]
            assert found
            assert not any(found)
            assert registry.operator(2) == before


def test_bad_005_signature__that_the_chain_refuses__costs_the_operator_one_ether(queue: DepositQueue):
    """The deposit contract takes it, the chain drops it: there is never a validator to prove, nor ETH to follow."""
    v = queue.validators
    before = [v.evm.balance(v.pool), v.pool.outside()]
    queue.predeposit(1, dropped=True)
    assert pubkey_of(1) not in queue.index
    assert v.registry.validator(key_of(pubkey_of(1))).state == State.PREDEPOSITED
    assert (v.registry.operator(1).bond, v.registry.operator(1).open) == (0, 1)
    # Somebody else's validator proves nothing about it.
    (other,) = v.predeposit(operator=2)
    v.prove(other)
    with reverts("validator: not in this state"):
        v.registry.top_up(pubkey_of(1), [31 * GWEI_IN_ETHER])
    assert [v.evm.balance(v.pool), v.pool.outside()] == before
    # A right deposit of somebody for the same key makes it provable after all, as whatever it says.
    queue.directly(1, theirs())
    v.prove(queue.index[pubkey_of(1)])
    assert v.state(queue.index[pubkey_of(1)]) == State.COMPROMISED


def test_bad_007_gas__ten_thousand_deposits_in_the_buffer__are_made_call_by_call(validators: Validators):
    """A call takes at most a hundred validators, fits into a block, and what it did stays."""
    validators.protocol.stake(320_000 * ETHER)
    sent = 0
    for batch in range(2):
        indices = validators.predeposit(100, operator=1 + batch)
        assert validators.evm.gas_used < 10_000_000
        validators.prove(*indices)
        validators.registry.top_up(validators.keys(*indices), [1_000 * GWEI_IN_ETHER] * 100)
        assert validators.evm.gas_used < 10_000_000
        sent += 100 * 1_001 * GWEI_IN_ETHER
        assert validators.registry.staked() == sent
    validators.check()


def test_bad_008_operator__that_takes_the_keys_of_another__pays_for_them_and_stops_nobody(queue: DepositQueue):
    """Who copies a predeposit that he sees coming pays for the other's validator; the other's batch goes on without."""
    v, registry = queue.validators, queue.validators.registry
    keys = b"".join(map(pubkey_of, (1, 2, 3)))
    signatures = b"".join(map(signature_of, (1, 2, 3)))
    queue.predeposit(2, operator=2)
    with reverts("validator: known already"):
        registry.predeposit(1, keys, signatures, sender=MANAGER, value=3 * ETHER)
    registry.predeposit(
        1, pubkey_of(1) + pubkey_of(3), signature_of(1) + signature_of(3), sender=MANAGER, value=2 * ETHER
    )
    queue.take()
    assert (registry.operator(1).open, registry.operator(2).open) == (2, 1)
    # The other's validator can do the copier no good that it does not do the pool.
    queue.top_up(2, 31 * GWEI_IN_ETHER)
    queue.check()
    v.check()


def test_bad_008_operator__with_no_bond_no_weight_or_a_bad_address__stops_nobody(validators: Validators):
    registry = validators.registry
    registry.set_operator(1, MANAGER, 0, 0, sender=COUNCIL)
    registry.set_reward_address(1, validators.evm.deploy("EtherRefuser", 2), sender=MANAGER)
    (index,) = validators.active(operator=2)
    validators.pull({index: 0})
    validators.protocol.report()
    validators.check()


# --- what others give, and what is pending ---


def test_bad_012_donation__to_a_validator_of_ours__blocks_neither_report_nor_top_up_nor_pull(validators: Validators):
    protocol = validators.protocol
    one, two = validators.active(2, stake=100)
    for gwei in (GWEI_IN_ETHER, 1_900 * GWEI_IN_ETHER):
        validators.arrive(one, gwei)
        # The gift is a gain like any other: metered, and never too large to report.
        rate = protocol.pool.entry_rate()
        reported = protocol.report(gain=gwei * GWEI)
        assert reported["gain"] <= gwei * GWEI
        assert protocol.pool.entry_rate() <= rate * 1_001 // 1_000, "rewards stream"
        validators.prove(one)
        validators.check()
        validators.top_up({two: 1})
        validators.evm.travel(DAY)
    validators.pull({one: 1_900 * GWEI_IN_ETHER, two: 5 * GWEI_IN_ETHER})
    assert [each.amount for each in withdrawal_requests(validators.evm)] == [1_900 * GWEI_IN_ETHER, 5 * GWEI_IN_ETHER]
    validators.check()


def test_bad_015_pending__validator_at_every_step__is_counted_once(validators: Validators):
    """The pool counts what it paid: nothing for a predeposit, 32 ETH once it was bought, however often proven."""
    pool, registry = validators.pool, validators.registry
    start = pool.outside()

    def counted() -> tuple[int, int]:
        return (pool.outside() - start) // ETHER, registry.staked() // GWEI_IN_ETHER

    (index,) = validators.predeposit()
    assert counted() == (0, 0)
    validators.prove(index)
    validators.prove(index)
    assert counted() == (0, 0)
    validators.top_up({index: 31}, arrives=False)
    assert counted() == (32, 32)
    validators.prove(index)
    assert counted() == (32, 32)
    validators.arrive(index, 31 * GWEI_IN_ETHER)
    validators.prove(index)
    assert counted() == (32, 32)
    # Neither another operator nor a registry that comes later counts it again.
    with reverts("validator: known already"):
        registry.predeposit(2, validators.keys(index), signature_of(1), sender=OTHER_MANAGER, value=ETHER)
    other = deploy_registry(validators.protocol, validators.beacon)
    with reverts("validator: not in this state"):
        other.top_up(validators.keys(index), [GWEI_IN_ETHER])
    assert validators.record(index).operator == 1
    assert counted() == (32, 32)
    validators.check()


# --- slashings ---


def test_bad_016_slashed_validators__twenty_in_one_day__lower_the_exit_price_and_stop_no_exit(validators: Validators):
    """The loss is counted when it is proven, before any report; who leaves bears its part; nothing reverts."""
    protocol, pool = validators.protocol, validators.pool
    indices = validators.active(20, stake=64) + validators.active(5, operator=2, stake=64)
    ticket = protocol.request(10 * ETHER, SAVER)
    protocol.report()
    for index in indices[:20]:
        validators.beacon.slash(index)
    before, entry = pool.exit_rate(), pool.entry_rate()
    for start in range(0, 20, 5):
        validators.prove(*indices[start : start + 5])
        validators.check()
    expected = 20 * 64 * ETHER * LIMITS.slashing_bps // 10_000
    assert pool.state()[2] >> 96 & U96 == expected
    assert pool.exit_rate() < before
    assert pool.entry_rate() >= entry
    pool.fulfil()
    protocol.queue.claim(ticket)
    protocol.request(ETHER, STAKER)
    # The report brings what it really was: less than half.
    protocol.report(gain=-20 * ETHER)
    assert pool.state()[2] >> 96 & U96 == 0
    pool.fulfil()
    assert set(validators.states(*indices[:20])) == {State.SLASHED}
    assert set(validators.states(*indices[20:])) == {State.ACTIVE}
    validators.pull({indices[20]: 0})
    validators.check()


def test_bad_016_slashed_validators__more_than_all_that_is_outside__count_as_everything_and_no_more(
    validators: Validators,
):
    validators.registry.set_parameters(LIMITS._replace(slashing_bps=10_000), sender=validators.protocol.admin)
    indices = validators.active(2, stake=100)
    for index in indices:
        validators.arrive(index, 1_900 * GWEI_IN_ETHER)
        validators.beacon.slash(index)
    validators.prove(*indices)
    assert validators.pool.state()[2] >> 96 & U96 == validators.pool.outside() // GWEI * GWEI
    assert validators.pool.exit_rate() > 0
    validators.check()


# --- the consensus layer ---


def test_bad_085_not_active__validator__proves_its_credentials_and_is_worth_nothing(validators: Validators):
    """Its activation epoch is far away: no proof of it gives anybody anything, and a top-up waits with it."""
    (index,) = validators.predeposit()
    assert validators.beacon.validators[index].activation_epoch == FAR_FUTURE
    proof = validators.proof(index)
    worth = [validators.pool.totalAssets(), validators.pool.totalSupply(), validators.pool.outside()]
    validators.registry.prove(proof)
    assert [validators.pool.totalAssets(), validators.pool.totalSupply(), validators.pool.outside()] == worth
    validators.registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])
    assert validators.pool.totalAssets() == worth[0]
    # Nothing can be asked of it: the chain would not heed it.
    validators.prove(index)
    for gwei in (0, GWEI_IN_ETHER):
        with reverts("validator: not in this state"):
            validators.pull({index: gwei})
    validators.check()


@pytest.mark.parametrize("seed", range(3))
def test_bad_089_requests__three_in_ten_dropped__books_follow_what_the_chain_did(validators: Validators, seed: int):
    """Parts and exits asked for at random, some ignored; at rest again, every record is what the chain holds."""
    dice, beacon = Random(seed), validators.beacon
    indices = validators.active(6, stake=48) + validators.active(6, operator=2, stake=64)
    for _ in range(8):
        chosen = [i for i in dice.sample(indices, 4) if can_be_pulled(validators, i)]
        validators.evm.travel(DAY)
        validators.publish()
        if chosen:
            validators.pull({i: dice.choice([0, 6 * GWEI_IN_ETHER, 5 * GWEI_IN_ETHER]) for i in chosen})
        for request in withdrawal_requests(validators.evm):
            index = next(i for i in indices if validators.pubkeys[i] == request.pubkey)
            if dice.random() < 0.3:
                continue
            if request.amount == 0:
                validators.leave(index, delay=1)
            else:
                spare = max(beacon.validators[index].balance - 32 * GWEI_IN_ETHER, 0)
                validators.evm.force(validators.vault, min(spare, request.amount) * GWEI)
                validators.arrive(index, -min(spare, request.amount))
        validators.evm.travel(REQUEST_TIME + DAY)
        validators.prove(*(i for i in indices if validators.state(i) != State.CLOSED))
        for index in indices:
            if validators.state(index) == State.EXITING and beacon.validators[index].exit_epoch != FAR_FUTURE:
                validators.withdraw(index)
                validators.close(index)
        validators.check()
    validators.evm.travel(DEPOSIT_TIME + DAY)
    validators.prove(*(i for i in indices if validators.state(i) != State.CLOSED))
    for index in indices:
        v = validators.record(index)
        assert v.pulled == 0
        assert v.stake == beacon.validators[index].effective_balance
    assert validators.registry.staked() == sum(beacon.validators[i].balance for i in indices)
    assert validators.registry.under_way() == 0


def can_be_pulled(validators: Validators, index: int) -> bool:
    """Say whether a request of 5 ETH would be within a validator's means."""
    v = validators.record(index)
    return bool(v.state == State.ACTIVE and v.pulled == 0 and v.stake >= 37 * GWEI_IN_ETHER)


def test_bad_090_consolidation__to_a_foreign_target__cannot_be_said_by_anybody(validators: Validators):
    """The vault alone can ask for it, the registry alone asks the vault, and it names none but active ones of ours."""
    (ours,) = validators.active()
    payload = validators.keys(ours) + pubkey_of(99)
    for sender in (KEEPER, COUNCIL, MANAGER, OUTSIDER, REWARDS, validators.protocol.admin):
        with reverts("caller: not the registry"):
            validators.vault.request(2, [payload], OUTSIDER, sender=sender, value=0)
    with reverts("validator: not in this state"):
        validators.registry.consolidate(validators.keys(ours), pubkey_of(99), sender=KEEPER, value=ETHER)
