"""The life of validators on a real beacon chain; the books agree with its state to the Gwei."""

from __future__ import annotations

from functools import partial

from floe.beacon.deposit import DepositData
from floe.devnet import Devnet
from tests.e2e.world import (
    DEPLOYER,
    ETHER,
    GWEI,
    KEEPER,
    MANAGER,
    OUTSIDER,
    PREDEPOSIT,
    RIVAL,
    STAKER,
    Validator,
    World,
    plain,
)

DAY = 86_400
HEAD = "/eth/v1/beacon/states/head"
PREDEPOSITED, PROVEN, ACTIVE, EXITING, CLOSED, COMPROMISED, SLASHED = (1 << bit for bit in range(7))
"""Members of the registry's flag `State`."""
TAKEN_IN = ("tips", "gifts", "surplus", "swept")
"""Of a report: what comes into the buffer."""
FAST_QUEUES = {
    "MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA": 8_192 * GWEI,
    "MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT": 4_096 * GWEI,
}
"""Churn limits (Gwei an epoch) at which 2,048 ETH move in one epoch."""


def test_life__deposit_proof_top_up_rewards_slashing_exits__books_agree(execution: str):
    # An epoch of 8 slots is a quarter of a day.
    with Devnet(execution=execution, seconds_per_slot=DAY // 32, config=FAST_QUEUES) as devnet:
        devnet.advance(epochs=1)
        world = World(devnet)
        registry, pool = world.registry.functions, world.pool.functions
        council, manager, rival = DEPLOYER, world.address(MANAGER), world.address(RIVAL)
        world.call(council, registry.add_operator(manager, manager, 80, 100))
        world.call(council, registry.add_operator(rival, rival, 20, 100))
        world.call(STAKER, pool.deposit(6_000 * ETHER, world.address(STAKER)), value=6_000 * ETHER)

        # Predeposits, and a rival who has sent the same key to the beacon chain before with credentials of his own.
        signed = [world.new_deposit() for _ in range(5)]
        ours = [validator for validator, _ in signed]
        whole, part, moved, target, slashed = ours
        predeposit(world, MANAGER, 1, [data for _, data in signed])
        stolen, data = world.new_deposit()
        devnet.send_deposit(world.sign_again(b"\x02" + bytes(11) + bytes.fromhex(rival[2:])), account=RIVAL)
        devnet.advance(1)
        assets = pool.totalAssets().call()
        predeposit(world, RIVAL, 2, [data])
        assert registry.operator(2).call()[5] == 0  # his bond is spent
        for validator in [*ours, stolen]:
            devnet.advance_until(partial(known, world, validator))

        world.prove(*ours, stolen)
        assert [world.state_of(each)[0] for each in ours] == [PROVEN] * 5
        assert world.state_of(stolen)[0] == COMPROMISED
        assert (pool.totalAssets().call(), pool.outside().call()) == (assets, 0)  # it cost the pool nothing

        # Top-ups: the pool buys the predeposits, too.
        amounts = {
            whole: 31 * GWEI,
            part: 2_047 * GWEI,
            moved: 63 * GWEI,
            target: 31 * GWEI,
            slashed: 99 * GWEI,
        }
        world.top_up(amounts)
        sent = sum(amounts.values()) + 5 * PREDEPOSIT
        assert pool.outside().call() == sent * GWEI == registry.staked().call() * GWEI
        assert registry.operator(1).call()[5] == 5 * PREDEPOSIT
        for validator in ours:
            devnet.advance_until_status(validator.pubkey, "active_ongoing")
        world.report()

        # Rewards; those above 2,048 ETH are swept into the vault by themselves.
        devnet.advance_until(lambda: world.web3.eth.get_balance(world.vault.address) > 0)
        fields = world.report()
        assert fields["gain"] > 0
        assert fields["swept"] > 0

        # A slashing, proven at once: who leaves bears it, before any report.
        entry, exit_ = pool.entry_rate().call(), pool.exit_rate().call()
        assert exit_ == entry
        devnet.slash([slashed.pubkey])
        devnet.advance(1)
        world.prove(slashed)
        assert world.state_of(slashed)[0] == SLASHED
        assert pool.pending_loss().call() == -(-100 * GWEI * 500 // 10_000) * GWEI  # 5 % of its stake
        assert pool.exit_rate().call() < pool.entry_rate().call()
        fields = world.report()
        assert 0 < fields["pending_loss"] < 100 * ETHER
        devnet.advance(epochs=4)

        assert registry.operator(1).call()[2] == 0  # the operator gets no more stake until the council says so

        # Back: a whole validator, a part of one, and one that moves into another.
        before = pool.buffer().call()
        world.call(STAKER, world.queue.functions.request(5_000 * ETHER, world.address(STAKER)))
        fields = world.report()
        # Paid in the same transaction, as far as the buffer goes.
        paid = world.web3.eth.get_balance(world.queue.address)
        assert paid + pool.buffer().call() == before + sum(fields[name] for name in TAKEN_IN)
        assert pool.buffer().call() <= 2
        world.prove(whole, part, moved, target)  # active, so the beacon chain will heed requests
        pubkeys = whole.pubkey + part.pubkey
        world.call(KEEPER, registry.request_withdrawals(pubkeys, [0, 600 * GWEI]), value=GWEI)
        world.call(KEEPER, registry.consolidate(moved.pubkey, target.pubkey), value=GWEI)
        assert registry.under_way().call() == 632 * GWEI
        devnet.advance(2)
        world.prove(whole, moved)
        assert [world.state_of(each)[0] for each in (whole, moved)] == [EXITING, EXITING]
        assert world.state_of(target)[3] == 96 * GWEI
        before = pool.buffer().call()
        for validator in (whole, moved):
            devnet.advance_until_status(validator.pubkey, "withdrawal_done")
        devnet.advance_until(lambda: not devnet.beacon(f"{HEAD}/pending_partial_withdrawals")["data"])
        fields = world.report()
        assert fields["swept"] > 632 * ETHER
        assert world.web3.eth.get_balance(world.queue.address) + pool.buffer().call() == paid + before + fields["swept"]
        for validator in (whole, moved):
            close(world, validator)
        devnet.advance(epochs=1)  # effective balances follow balances at the end of an epoch
        world.prove(part, target)
        assert world.state_of(target)[3] >= 95 * GWEI
        assert registry.under_way().call() == 0

        # Everything that came has been paid to who leaves.
        paid = world.web3.eth.get_balance(world.queue.address)
        assert pool.buffer().call() <= 2
        before = world.web3.eth.get_balance(world.address(STAKER))
        world.call(OUTSIDER, world.queue.functions.claim(1))
        assert world.web3.eth.get_balance(world.address(STAKER)) == before + paid
        world.report()
        bonds = sum(registry.operator(each).call()[5] for each in (1, 2))
        assert world.web3.eth.get_balance(world.registry.address) == bonds * GWEI
        world.client.close()


def known(world: World, validator: Validator) -> bool:
    """Whether the beacon chain has the validator."""
    return world.devnet.validator(validator.pubkey) is not None


def predeposit(world: World, account: int, operator: int, deposits: list[DepositData]) -> None:
    """Let an operator predeposit; it pays its bond with the call."""
    pubkeys, signatures = (b"".join(getattr(each, name) for each in deposits) for name in ("pubkey", "signature"))
    function = world.registry.functions.predeposit(operator, pubkeys, signatures)
    world.call(account, function, value=len(deposits) * ETHER)


def close(world: World, validator: Validator) -> None:
    """Prove that a validator has nothing left; while it is in a sync committee it earns a little between the sweeps."""
    for _ in range(64):
        snapshot = world.provable()
        if not snapshot.state.balances[snapshot.find([validator.pubkey])[validator.pubkey]]:
            break
    found = snapshot.prove_withdrawn(validator.pubkey)
    world.call(OUTSIDER, world.registry.functions.prove_withdrawn(*plain(found)))
    assert world.state_of(validator)[0] == CLOSED
