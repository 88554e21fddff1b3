"""Zap: ETH and WETH into one of three things, as if each step had been taken by hand, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import (
    DEPOSIT,
    GUARDIAN,
    OUTSIDER,
    PARAMETERS,
    RECEIVER,
    SAVER,
    STAKER,
    UNLIMITED,
    Protocol,
    deploy_pool,
)

FLOETH, RFLOETH, LIQUIDITY = 1, 2, 4
TARGETS = (FLOETH, RFLOETH, LIQUIDITY)
RESERVE = (500, 20_000, 100 * ETHER, False, ETHER // 10)
PAIR = (400, 50_000, 200_000, 20_000)


class Scene:
    """The zap and what it calls: 60 ETH in the reserve, and 50 ETH beside 40 floETH in the pair, all of the saver's."""

    def __init__(self, protocol: Protocol, *, liquidity: bool = True) -> None:
        self.protocol, self.evm, self.pool, self.token = protocol, protocol.evm, protocol.pool, protocol.token
        deploy = self.evm.deploy
        self.weth = deploy("WETH9")
        self.reserve = deploy("ExitReserve", self.pool, protocol.admin, RESERVE)
        self.pair = deploy("StablePair", self.pool, protocol.admin, SAVER, *PAIR)
        self.zap = deploy("Zap", self.pool, self.weth, self.token, self.reserve, self.pair)
        for account in (STAKER, OUTSIDER):
            self.evm.fund(account, 2**97)
            self.weth.deposit(sender=account, value=2**97)
            self.weth.approve(self.zap, UNLIMITED, sender=account)
        for spender in (self.reserve, self.pair):
            self.pool.approve(spender, UNLIMITED, sender=SAVER)
            self.pool.approve(spender, UNLIMITED, sender=STAKER)
        self.reserve.deposit(60 * ETHER, SAVER, sender=SAVER, value=60 * ETHER)
        if liquidity:
            self.pair.add_liquidity(40 * ETHER, 0, sender=SAVER, value=50 * ETHER)
        self.evm.travel(DAY)

    def into(self, target: int, value: int, weth: int = 0, min_out: int = 0, receiver: str = RECEIVER) -> int:
        """Zap `value` wei of ETH and `weth` of the outsider's. Returns what came out."""
        return int(self.zap.zap(target, weth, min_out, receiver, sender=OUTSIDER, value=value))

    def got(self, target: int) -> int:
        """Return what the receiver has of a target."""
        coin = {FLOETH: self.pool, RFLOETH: self.token, LIQUIDITY: self.pair}[target]
        return int(coin.balanceOf(RECEIVER))

    def left(self) -> list[int]:
        """Return what lies in the zap, of everything."""
        coins = (self.pool, self.token, self.pair, self.reserve, self.weth)
        return [self.evm.balance(self.zap), *(coin.balanceOf(self.zap) for coin in coins)]


@pytest.fixture
def scene(protocol: Protocol) -> Scene:
    return Scene(protocol)


@pytest.fixture
def evm(scene: Scene) -> Evm:
    return scene.evm


# --- what comes out ---


@given(
    target=st.sampled_from(TARGETS),
    value=st.integers(0, 10**21),
    weth=st.integers(0, 10**21),
    held=st.integers(0, 40 * ETHER),
)
def test_zap__any_amounts__leave_nothing_behind_and_go_to_the_receiver(
    scene: Scene, target: int, value: int, weth: int, held: int
):
    with scene.evm.undone():
        if held >= ETHER:
            scene.reserve.sell(held, 0, sender=STAKER)
        wealth, coins = scene.evm.balance(OUTSIDER), scene.weth.balanceOf(OUTSIDER)
        out = scene.into(target, value + 10**6, weth)
        assert scene.got(target) == out > 0
        assert scene.left() == [0] * 6
        assert scene.evm.balance(OUTSIDER) == wealth - value - 10**6
        assert scene.weth.balanceOf(OUTSIDER) == coins - weth


def test_zap__into_floeth__is_what_the_reserve_stakes_for(scene: Scene):
    scene.reserve.sell(3 * ETHER, 0, sender=STAKER)
    cash, held = scene.reserve.cash(), scene.reserve.held()
    assert held == 3 * ETHER
    expected = scene.reserve.preview_stake(10 * ETHER)
    # Two purchases at one price, and each is rounded down.
    assert 0 <= scene.pool.previewDeposit(10 * ETHER) - expected <= 1
    assert scene.into(FLOETH, 4 * ETHER, 6 * ETHER) == expected
    # What the reserve held went first, and its ETH came back at once.
    assert scene.reserve.held() == 0
    assert scene.reserve.cash() - cash == scene.pool.previewMint(3 * ETHER)


def test_zap__into_rfloeth__is_counted_in_wei(scene: Scene):
    shares = scene.pool.previewDeposit(10 * ETHER)
    out = scene.into(RFLOETH, 10 * ETHER)
    assert out == scene.pool.convertToAssets(shares) == scene.token.balanceOf(RECEIVER)
    assert scene.token.shares_of(RECEIVER) == shares
    assert 10 * ETHER - out <= 2


def test_zap__into_liquidity__as_one_would_by_hand(scene: Scene):
    """In the proportion of the pair, by value: there the fee on what is out of balance is next to nothing."""
    value, supply = scene.pool.entry_price()
    kept = 10 * ETHER * (50 * ETHER) // (50 * ETHER + 40 * ETHER * value // supply)
    with scene.evm.undone():
        shares = scene.protocol.stake(10 * ETHER - kept)
        by_hand = scene.pair.add_liquidity(shares, 0, sender=STAKER, value=kept)
    one_sided = scene.pair.preview_add(10 * ETHER, 0)
    assert scene.into(LIQUIDITY, 0, 10 * ETHER) == by_hand > one_sided


def test_zap__into_an_empty_pair__half_and_half(protocol: Protocol):
    scene = Scene(protocol, liquidity=False)
    scene.into(LIQUIDITY, 10 * ETHER)
    eth, shares = scene.pair.balances()
    assert eth == 5 * ETHER
    assert shares == scene.pool.convertToShares(5 * ETHER)


def test_zap__things_that_lie_there_by_mistake__stay_and_come_to_nobody(scene: Scene):
    expected = {}
    for target in TARGETS:
        with scene.evm.undone():
            expected[target] = scene.into(target, ETHER, ETHER)
    scene.evm.force(scene.zap, ETHER)
    scene.pool.transfer(scene.zap, ETHER, sender=SAVER)
    scene.weth.transfer(scene.zap, ETHER, sender=OUTSIDER)
    before = scene.left()
    for target in TARGETS:
        with scene.evm.undone():
            assert scene.into(target, ETHER, ETHER) == expected[target]
            assert scene.left() == before


# --- the least that must come out ---


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (FLOETH, "slippage: too few shares"),
        (RFLOETH, "slippage: too few assets"),
        (LIQUIDITY, "slippage: too little liquidity"),
    ],
)
def test_zap__less_than_the_minimum__refused(scene: Scene, target: int, reason: str):
    with scene.evm.undone():
        out = scene.into(target, ETHER, ETHER)
    with reverts(reason):
        scene.into(target, ETHER, ETHER, out + 1)
    assert scene.into(target, ETHER, ETHER, out) == out


# --- what is refused ---


@pytest.mark.parametrize("target", [0, FLOETH | RFLOETH, FLOETH | RFLOETH | LIQUIDITY])
def test_zap__no_target_or_several__refused(scene: Scene, target: int):
    with reverts("zap: not one target"):
        scene.into(target, ETHER)


def test_zap__target_that_does_not_exist__refused(scene: Scene):
    with reverts():
        scene.into(8, ETHER)


@pytest.mark.parametrize("target", TARGETS)
def test_zap__receiver_at_whom_it_would_be_lost__refused(scene: Scene, target: int):
    for receiver in (ZERO, scene.zap.address):
        with reverts("receiver: refused"):
            scene.into(target, ETHER, receiver=receiver)


@pytest.mark.parametrize("target", TARGETS)
def test_zap__nothing_sent__refused(scene: Scene, target: int):
    with reverts("deposit: zero shares"):
        scene.into(target, 0)


def test_zap__more_weth_than_approved_or_there__refused_by_weth(scene: Scene):
    with reverts():
        scene.zap.zap(FLOETH, 1, 0, RECEIVER, sender=SAVER)
    scene.weth.approve(scene.zap, ETHER, sender=OUTSIDER)
    with reverts():
        scene.into(FLOETH, 0, ETHER + 1)
    assert scene.into(FLOETH, 0, ETHER) > 0


def test_zap__plain_ether__refused_from_everybody_but_weth(scene: Scene):
    with reverts("ether: not like this"):
        scene.zap.receive(sender=STAKER, value=1)
    # Plain ETH out of the pool, the reserve or the pair does not arrive either.
    with reverts("ether: send failed"):
        scene.pool.redeem(ETHER, scene.zap, SAVER, sender=SAVER)
    assert scene.left() == [0] * 6


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("close", "reason"),
    [
        (lambda p: p.pool.pause(DEPOSIT, p.evm.now + DAY, sender=GUARDIAN), "deposit: paused"),
        (lambda p: p.report(pending_loss=50 * ETHER), "deposit: loss pending"),
        (lambda p: p.pool.set_deposit_ceiling(0, sender=p.admin), "deposit: over the ceiling"),
    ],
)
def test_zap__pool_closed_for_deposits__refused(
    scene: Scene, target: int, close: Callable[[Protocol], object], reason: str
):
    close(scene.protocol)
    with reverts(reason):
        scene.into(target, ETHER)


def test_zap__pool_closed_but_the_reserve_has_enough__works(scene: Scene):
    scene.reserve.sell(3 * ETHER, 0, sender=STAKER)
    scene.pool.pause(DEPOSIT, scene.evm.now + DAY, sender=GUARDIAN)
    assert scene.into(FLOETH, 2 * ETHER) == scene.got(FLOETH) > 0


@pytest.mark.parametrize(("target", "weth"), [(FLOETH, 2**95), (RFLOETH, 2**95), (LIQUIDITY, 2**97)])
def test_zap__shares_over_96_bits__refused(scene: Scene, target: int, weth: int):
    """With a rate far below one, the shares reach 2**96 before the assets do. Most of the pair is ETH then."""
    scene.protocol.rate_falls_to(1, 5)
    with reverts("pool: total over 96 bits"):
        scene.into(target, 0, weth)


def test_zap__all_assets_lost__refused(worthless: Protocol):
    deploy = worthless.evm.deploy
    weth = deploy("WETH9")
    reserve = deploy("ExitReserve", worthless.pool, worthless.admin, RESERVE)
    pair = deploy("StablePair", worthless.pool, worthless.admin, SAVER, *PAIR)
    zap = deploy("Zap", worthless.pool, weth, worthless.token, reserve, pair)
    for target in TARGETS:
        with reverts("pool: no value"):
            zap.zap(target, 0, 0, RECEIVER, sender=OUTSIDER, value=ETHER)


def test_zap__too_little_for_a_first_deposit__refused(protocol: Protocol):
    scene = Scene(protocol, liquidity=False)
    with reverts("pair: first deposit"):
        scene.into(LIQUIDITY, ETHER // 20)


@pytest.fixture
def doomed(fresh: Protocol) -> Scene:
    """Return a protocol whose stake can be lost whole: none of it lies in the pool."""
    fresh.pool.set_parameters(PARAMETERS._replace(target_bps=0, allowance_bps=0), sender=fresh.admin)
    for account in (STAKER, SAVER):
        fresh.stake(200 * ETHER, account)
    scene = Scene(fresh)
    fresh.to_validators()
    return scene


def test_zap__pair_far_from_balance__refused(doomed: Scene):
    doomed.protocol.rate_falls_to(1, 10**5)
    with reverts("pair: too far from balance"):
        doomed.into(LIQUIDITY, ETHER)


def test_zap__pair_worth_less_than_the_fees_it_keeps_back__refused(doomed: Scene):
    """Most of its ETH has been bought for a high fee, and then floETH lost its value."""
    pair = doomed.pair
    pair.set_fees(10_000, 200_000, 0, sender=doomed.protocol.admin)
    for _ in range(3):
        pair.sell(50 * ETHER, 0, sender=STAKER)
    doomed.protocol.rate_falls_to(1, 1_000)
    assert min(pair.balances()) > 0
    assert pair.virtual_price() == 0
    with reverts("pair: no value"):
        doomed.into(LIQUIDITY, ETHER)


def test_zap__too_little_for_any_liquidity__refused(scene: Scene):
    with reverts("pair: too small"):
        scene.into(LIQUIDITY, 5)


def test_zap__peers_of_another_pool__refused(scene: Scene):
    protocol, deploy = scene.protocol, scene.evm.deploy
    other = deploy_pool(scene.evm, admin=protocol.admin)
    deploy("WithdrawalQueue", other)
    peers = [scene.token, scene.reserve, scene.pair]
    strangers: list[Contract] = [
        deploy("RebasingToken", other),
        deploy("ExitReserve", other, protocol.admin, RESERVE),
        deploy("StablePair", other, protocol.admin, SAVER, *PAIR),
    ]
    for i, stranger in enumerate(strangers):
        with reverts("peer: not wired to this contract"):
            deploy("Zap", scene.pool, scene.weth, *(stranger if i == j else peer for j, peer in enumerate(peers)))
    assert deploy("Zap", scene.pool, scene.weth, *peers).pool() == scene.pool.address
