"""WethVault: ERC-4626 over WETH whose prices and limits are the pool's, in every state the pool can be in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, RevertError, reverts
from tests.protocol import (
    DEPOSIT,
    GUARDIAN,
    INSTANT_EXIT,
    OUTSIDER,
    PARAMETERS,
    RECEIVER,
    SAVER,
    SPENDER,
    STAKER,
    UNLIMITED,
    Protocol,
)
from tests.unit.test_erc4626 import OPEN, STATES

SHARES = 9 * ETHER + 12_345_678_987_654_321
SEND_FAILED = 8
"""Of the queue's flag `Unpaid`."""


class Scene(NamedTuple):
    """The vault and what it stands on."""

    protocol: Protocol
    vault: Contract
    weth: Contract

    @property
    def evm(self) -> Evm:
        """The chain."""
        return self.protocol.evm

    @property
    def pool(self) -> Contract:
        """The pool behind the vault."""
        return self.protocol.pool

    @property
    def queue(self) -> Contract:
        """The pool's queue."""
        return self.protocol.queue


def build(protocol: Protocol) -> Scene:
    """Deploy WETH and the vault; staker and saver have shares of it, and they and the outsider have WETH."""
    weth = protocol.evm.deploy("WETH9")
    vault = protocol.evm.deploy("WethVault", protocol.pool, weth)
    for account in (STAKER, SAVER, OUTSIDER):
        protocol.evm.fund(account, 2**97)
        weth.deposit(sender=account, value=2**97)
        weth.approve(vault, UNLIMITED, sender=account)
    for account in (STAKER, SAVER):
        vault.mint(SHARES, account, sender=account)
    return Scene(protocol, vault, weth)


@pytest.fixture
def scene(protocol: Protocol) -> Scene:
    return build(protocol)


@pytest.fixture
def vault(scene: Scene) -> Contract:
    return scene.vault


@pytest.fixture(params=list(STATES))
def anyhow(scene: Scene, request: pytest.FixtureRequest) -> Scene:
    STATES[request.param](scene.protocol)
    return scene


@pytest.fixture(params=OPEN)
def usable(scene: Scene, request: pytest.FixtureRequest) -> Scene:
    STATES[request.param](scene.protocol)
    return scene


@pytest.fixture
def ruined(worthless: Protocol) -> Scene:
    """Return a vault over a pool that has lost everything; nobody has shares of it."""
    weth = worthless.evm.deploy("WETH9")
    vault = worthless.evm.deploy("WethVault", worthless.pool, weth)
    weth.deposit(sender=OUTSIDER, value=10 * ETHER)
    weth.approve(vault, UNLIMITED, sender=OUTSIDER)
    return Scene(worthless, vault, weth)


def assert_sound(scene: Scene, gift: int = 0) -> None:
    """Every share is backed by one of the pool's, and nothing else lies here."""
    assert scene.pool.balanceOf(scene.vault) == scene.vault.totalSupply() + gift
    assert scene.weth.balanceOf(scene.vault) == scene.evm.balance(scene.vault) == 0


def fill(scene: Scene, shares: int) -> int:
    """Pay exits up to position `shares` of the line, a day later. Returns the wei."""
    scene.evm.travel(DAY)
    scene.protocol.report(gain=ETHER // 50, tail=shares)
    return int(scene.pool.fulfil()[1])


# --- views ---


def test_vault__deployed__names_itself_and_weth(scene: Scene):
    vault = scene.vault
    assert (vault.name(), vault.symbol(), vault.decimals()) == ("Floe ETH for WETH", "wfETH", 18)
    assert (vault.asset(), vault.pool()) == (scene.weth.address, scene.pool.address)
    assert vault.totalSupply() == 2 * SHARES
    assert_sound(scene)


def test_views__any_state__are_the_pools_and_never_revert(anyhow: Scene):
    vault, pool = anyhow.vault, anyhow.pool
    names = ("convertToShares", "convertToAssets", "previewDeposit", "previewMint", "previewWithdraw", "previewRedeem")
    for name in names:
        for amount in (0, 1, 2, ETHER, 2**96, 2**128 - 1):
            assert getattr(vault, name)(amount) == getattr(pool, name)(amount), (name, amount)
    for account in (STAKER, OUTSIDER, ZERO, pool.address, vault.address):
        for name in ("maxDeposit", "maxMint", "maxWithdraw", "maxRedeem"):
            getattr(vault, name)(account)
    assert vault.totalAssets() == pool.convertToAssets(2 * SHARES)


def test_views__all_assets_lost__never_revert_but_where_there_is_no_price(ruined: Scene):
    vault = ruined.vault
    assert vault.totalAssets() == vault.convertToAssets(ETHER) == vault.previewMint(ETHER) == 0
    for name in ("maxDeposit", "maxMint", "maxWithdraw", "maxRedeem"):
        assert getattr(vault, name)(OUTSIDER) == 0
    for view in (vault.convertToShares, vault.previewDeposit, vault.previewWithdraw):
        with reverts("pool: no value"):
            view(ETHER)


def test_total_assets__rewards_stream__grows_by_the_second(scene: Scene):
    before = scene.vault.totalAssets()
    scene.evm.travel(60)
    assert scene.vault.totalAssets() > before


# --- in and out, as previewed ---


@given(assets=st.integers(2, 10**24))
def test_deposit__any_amount__gives_what_was_previewed(usable: Scene, assets: int):
    vault, weth = usable.vault, usable.weth
    with usable.evm.undone():
        expected, wealth = vault.previewDeposit(assets), weth.balanceOf(OUTSIDER)
        assert vault.deposit(assets, RECEIVER, expected, sender=OUTSIDER) == expected
        assert vault.balanceOf(RECEIVER) == expected
        assert weth.balanceOf(OUTSIDER) == wealth - assets
        assert_sound(usable)


@given(shares=st.integers(1, 10**23))
def test_bad_030_mint__any_shares__cost_what_was_previewed(usable: Scene, shares: int):
    vault, weth = usable.vault, usable.weth
    with usable.evm.undone():
        expected, wealth = vault.previewMint(shares), weth.balanceOf(OUTSIDER)
        assert vault.mint(shares, RECEIVER, sender=OUTSIDER) == expected
        assert vault.balanceOf(RECEIVER) == shares
        assert weth.balanceOf(OUTSIDER) == wealth - expected
        assert_sound(usable)


@given(part=st.integers(1, 10**6))
def test_withdraw__any_part_of_the_maximum__costs_what_was_previewed(usable: Scene, part: int):
    vault = usable.vault
    with usable.evm.undone():
        assets = max(vault.maxWithdraw(STAKER) * part // 10**6, 1)
        expected = vault.previewWithdraw(assets)
        assert vault.withdraw(assets, RECEIVER, STAKER, expected, sender=STAKER) == expected
        assert usable.weth.balanceOf(RECEIVER) == assets
        assert (vault.balanceOf(STAKER), vault.balanceOf(SAVER)) == (SHARES - expected, SHARES)
        assert_sound(usable)


@given(part=st.integers(1, 10**6))
def test_redeem__any_part_of_the_maximum__pays_what_was_previewed(usable: Scene, part: int):
    vault = usable.vault
    with usable.evm.undone():
        shares = max(vault.maxRedeem(STAKER) * part // 10**6, 10)
        expected = vault.previewRedeem(shares)
        assert vault.redeem(shares, RECEIVER, STAKER, expected, sender=STAKER) == expected
        assert usable.weth.balanceOf(RECEIVER) == expected
        assert (vault.balanceOf(STAKER), vault.balanceOf(SAVER)) == (SHARES - shares, SHARES)
        assert_sound(usable)


@given(amount=st.integers(10, 10**19))
def test_round_trips__every_way_in_and_out__never_gain(usable: Scene, amount: int):
    vault = usable.vault
    with usable.evm.undone():
        shares = vault.deposit(amount, STAKER, sender=STAKER)
        with usable.evm.undone():
            assert vault.redeem(shares, STAKER, STAKER, sender=STAKER) <= amount
        assert vault.withdraw(amount, STAKER, STAKER, sender=STAKER) >= shares
    with usable.evm.undone():
        assets = vault.mint(amount, STAKER, sender=STAKER)
        with usable.evm.undone():
            assert vault.redeem(amount, STAKER, STAKER, sender=STAKER) <= assets
        assert vault.withdraw(assets, STAKER, STAKER, sender=STAKER) >= amount


def test_events__in_and_out__those_of_erc4626(scene: Scene):
    vault, evm = scene.vault, scene.evm
    shares = vault.deposit(ETHER, RECEIVER, sender=OUTSIDER)
    fields = {"sender": OUTSIDER, "owner": RECEIVER, "assets": ETHER, "shares": shares}
    assert evm.events(vault, "Deposit")[0].fields == fields
    assets = vault.redeem(ETHER, OUTSIDER, STAKER, sender=STAKER)
    fields = {"sender": STAKER, "receiver": OUTSIDER, "owner": STAKER, "assets": assets, "shares": ETHER}
    assert evm.events(vault, "Withdraw")[0].fields == fields
    burnt = {"sender": STAKER, "receiver": ZERO, "value": ETHER}
    assert [event.fields for event in evm.events(vault, "Transfer")] == [burnt]


# --- limits ---


def succeeds(scene: Scene, call: Callable[..., object], *arguments: object, sender: str) -> bool:
    with scene.evm.undone():
        try:
            call(*arguments, sender=sender)
        except RevertError:
            return False
    return True


@pytest.mark.parametrize(("limit", "enter"), [("maxDeposit", "deposit"), ("maxMint", "mint")])
def test_bad_032_max_in__any_state__is_the_most_that_succeeds(anyhow: Scene, limit: str, enter: str):
    vault = anyhow.vault
    most = getattr(vault, limit)(RECEIVER)
    assert most == getattr(anyhow.pool, limit)(vault)
    for amount, expected in ((most, most > 0), (most + 1, False), (most + ETHER, False)):
        assert succeeds(anyhow, getattr(vault, enter), amount, RECEIVER, sender=OUTSIDER) is expected


@pytest.mark.parametrize("held", [0, 1, 100, 3 * ETHER + 7, SHARES])
def test_bad_032_max_out__any_state_and_holder__is_the_most_that_succeeds(anyhow: Scene, held: int):
    """For wei to the wei, but for one step of the fee rate, which counts in millionths."""
    vault = anyhow.vault
    vault.transfer(RECEIVER, held, sender=STAKER)
    shares, assets = vault.maxRedeem(RECEIVER), vault.maxWithdraw(RECEIVER)
    assert shares <= held
    assert assets == vault.previewRedeem(shares)
    for amount, expected in ((shares, shares > 0), (shares + 1, False), (shares + ETHER, False)):
        assert succeeds(anyhow, vault.redeem, amount, RECEIVER, RECEIVER, sender=RECEIVER) is expected
    step = 2 * assets // 10**6
    for amount, expected in ((assets, assets > 0), (assets + 1 + step, False), (assets + ETHER, False)):
        assert succeeds(anyhow, vault.withdraw, amount, RECEIVER, RECEIVER, sender=RECEIVER) is expected


def test_max__pools_limit_below_what_one_holds__is_the_pools(scene: Scene):
    """More than may leave at once: the limit holds for all holders together."""
    vault = scene.vault
    vault.mint(300 * ETHER, STAKER, sender=STAKER)
    most = scene.pool.maxRedeem(vault)
    assert vault.maxRedeem(STAKER) == most < vault.balanceOf(STAKER)
    vault.redeem(most, STAKER, STAKER, sender=STAKER)
    assert vault.maxRedeem(SAVER) == scene.pool.maxRedeem(vault) < SHARES


def test_max_in__refused_receivers__nothing(scene: Scene):
    for refused in (ZERO, scene.vault):
        assert scene.vault.maxDeposit(refused) == scene.vault.maxMint(refused) == 0


# --- who may ---


@pytest.mark.parametrize("name", ["withdraw", "redeem", "request_exit"])
def test_bad_031_exits__of_somebody_else__spend_an_allowance_of_shares(scene: Scene, name: str):
    vault = scene.vault

    def leave(amount: int) -> object:
        arguments = (amount, OUTSIDER, STAKER)
        return getattr(vault, name)(*arguments, sender=OUTSIDER)

    with reverts("erc20: insufficient allowance"):
        leave(ETHER)
    vault.approve(OUTSIDER, 3 * ETHER, sender=STAKER)
    leave(ETHER)
    burnt = SHARES - vault.balanceOf(STAKER)
    assert 0 < burnt <= ETHER
    assert vault.allowance(STAKER, OUTSIDER) == 3 * ETHER - burnt
    vault.approve(OUTSIDER, UNLIMITED, sender=STAKER)
    leave(ETHER)
    assert vault.allowance(STAKER, OUTSIDER) == UNLIMITED
    assert vault.balanceOf(SAVER) == SHARES
    assert_sound(scene)


@pytest.mark.parametrize("name", ["withdraw", "redeem", "request_exit"])
def test_exits__of_nobody__refused(vault: Contract, name: str):
    with reverts("erc20: approve from the zero address"):
        getattr(vault, name)(0, RECEIVER, ZERO, sender=OUTSIDER)


@pytest.mark.parametrize("name", ["withdraw", "redeem", "request_exit"])
def test_exits__more_than_one_has__refused(scene: Scene, name: str):
    """There are more shares in the vault, and all could leave: they are somebody else's."""
    scene.vault.transfer(RECEIVER, ETHER, sender=STAKER)
    with reverts("erc20: burn amount exceeds balance"):
        getattr(scene.vault, name)(2 * ETHER, RECEIVER, RECEIVER, sender=RECEIVER)


def test_gift__floeth_sent_here__changes_nothing(scene: Scene):
    vault = scene.vault
    names = ("totalAssets", "totalSupply")
    before = [getattr(vault, name)() for name in names] + [vault.previewDeposit(ETHER), vault.maxRedeem(STAKER)]
    scene.pool.transfer(vault, 5 * ETHER, sender=SAVER)
    after = [getattr(vault, name)() for name in names] + [vault.previewDeposit(ETHER), vault.maxRedeem(STAKER)]
    assert before == after
    assert_sound(scene, gift=5 * ETHER)


# --- the exit without a fee ---


def test_request_exit__shares__become_a_ticket_that_the_vault_holds(scene: Scene):
    vault = scene.vault
    ticket = vault.request_exit(SHARES, RECEIVER, STAKER, sender=STAKER)
    fields = {"ticket": ticket, "receiver": RECEIVER, "owner": STAKER, "shares": SHARES}
    assert scene.evm.events(vault, "ExitRequested")[0].fields == fields
    assert scene.queue.ownerOf(ticket) == vault.address
    assert vault.receiver_of(ticket) == RECEIVER
    assert (vault.balanceOf(STAKER), vault.totalSupply()) == (0, SHARES)
    assert scene.queue.pending(ticket) == SHARES
    assert_sound(scene)


def test_claim__filled_in_parts__pays_each_in_weth_to_the_receiver_whoever_claims(scene: Scene):
    vault = scene.vault
    ticket = vault.request_exit(SHARES, RECEIVER, STAKER, sender=STAKER)
    with reverts("claim: nothing filled"):
        vault.claim(ticket, sender=OUTSIDER)
    first = fill(scene, 4 * ETHER)
    assert vault.claim(ticket, scene.queue.hint(ticket), sender=OUTSIDER) == first
    fields = {"ticket": ticket, "receiver": RECEIVER, "assets": first}
    assert scene.evm.events(vault, "ExitClaimed")[0].fields == fields
    assert scene.weth.balanceOf(RECEIVER) == first
    second = fill(scene, SHARES)
    with reverts("claim: wrong hint"):
        vault.claim(ticket, 99, sender=OUTSIDER)
    assert vault.claim(ticket, sender=OUTSIDER) == second
    assert scene.weth.balanceOf(RECEIVER) == first + second == scene.queue.paid_in()
    assert_sound(scene)
    with reverts("ticket: does not exist"):
        vault.claim(ticket, sender=OUTSIDER)


def test_claim__two_tickets_of_two_people__each_gets_his(scene: Scene):
    vault = scene.vault
    tickets = {
        RECEIVER: vault.request_exit(2 * ETHER, RECEIVER, STAKER, sender=STAKER),
        SPENDER: vault.request_exit(3 * ETHER, SPENDER, SAVER, sender=SAVER),
    }
    fill(scene, 5 * ETHER)
    worth = {receiver: scene.queue.claimable(ticket) for receiver, ticket in tickets.items()}
    for ticket in tickets.values():
        vault.claim(ticket, sender=OUTSIDER)
    assert {receiver: scene.weth.balanceOf(receiver) for receiver in tickets} == worth
    assert_sound(scene)


def test_request_exit__instant_exit_closed__works(scene: Scene):
    """Its limits are nobody's business who waits."""
    scene.pool.pause(INSTANT_EXIT | DEPOSIT, scene.evm.now + DAY, sender=GUARDIAN)
    ticket = scene.vault.request_exit(ETHER, RECEIVER, STAKER, sender=STAKER)
    assets = fill(scene, ETHER)
    assert scene.vault.claim(ticket) == assets == scene.weth.balanceOf(RECEIVER)


def test_claim__past_the_vault__not_possible_and_nothing_is_lost(scene: Scene):
    """The queue pays a ticket's owner whoever asks; here that would be ETH of which nobody knows whose it is."""
    vault, queue = scene.vault, scene.queue
    ticket = vault.request_exit(ETHER, RECEIVER, STAKER, sender=STAKER)
    assets = fill(scene, ETHER)
    with reverts("ether: send failed"):
        queue.claim(ticket, sender=OUTSIDER)
    assert queue.claim_many([ticket], [], sender=OUTSIDER) == 0
    assert scene.evm.events(queue, "ClaimSkipped")[0].fields == {"ticket": ticket, "reason": SEND_FAILED}
    assert vault.claim(ticket, sender=OUTSIDER) == assets == scene.weth.balanceOf(RECEIVER)


def test_claim__ticket_that_was_given_to_the_vault__refused(scene: Scene):
    """It belongs to nobody, and does not disturb those that were requested here."""
    own = scene.vault.request_exit(ETHER, RECEIVER, STAKER, sender=STAKER)
    gift = scene.queue.request(ETHER, scene.vault, sender=SAVER)
    sent = scene.protocol.request(ETHER, SAVER)
    scene.queue.transferFrom(SAVER, scene.vault, sent, sender=SAVER)
    fill(scene, 3 * ETHER)
    for ticket in (gift, sent, 99):
        with reverts("ticket: does not exist"):
            scene.vault.claim(ticket, sender=OUTSIDER)
    assert scene.vault.claim(own) == scene.weth.balanceOf(RECEIVER) > 0
    assert_sound(scene)


@pytest.mark.parametrize("sender", ["staker", "pool", "queue", "another withdrawal"])
def test_plain_ether__outside_of_a_call_of_the_vaults_own__refused(scene: Scene, sender: str):
    vault = scene.vault
    if sender == "staker":
        with reverts("ether: not like this"):
            vault.receive(sender=STAKER, value=1)
    elif sender == "pool":
        with reverts("ether: send failed"):
            scene.pool.redeem(ETHER, vault, SAVER, sender=SAVER)
    elif sender == "queue":
        ticket = scene.protocol.request(ETHER)
        fill(scene, ETHER)
        with reverts("ether: send failed"):
            scene.queue.claim_to(ticket, vault, sender=STAKER)
    else:
        wallet = scene.protocol.wallet()
        with reverts("ether: not like this"):
            wallet.execute(vault, b"", 1, sender=wallet)
    assert scene.evm.balance(vault) == 0


def test_forced_ether__lies_there_and_changes_nothing(scene: Scene):
    scene.evm.force(scene.vault, ETHER)
    assets = scene.vault.redeem(ETHER, RECEIVER, STAKER, sender=STAKER)
    assert scene.weth.balanceOf(RECEIVER) == assets
    scene.vault.deposit(ETHER, STAKER, sender=STAKER)
    assert scene.evm.balance(scene.vault) == ETHER
    assert scene.weth.balanceOf(scene.vault) == 0


# --- what is refused ---


@pytest.mark.parametrize("refused", ["nobody", "the vault"])
def test_receivers__nobody_and_the_vault__refused_everywhere(scene: Scene, refused: str):
    vault = scene.vault
    receiver = {"nobody": ZERO, "the vault": vault.address}[refused]
    for name in ("deposit", "mint"):
        with reverts("receiver: refused"):
            getattr(vault, name)(ETHER, receiver, sender=STAKER)
    for name in ("withdraw", "redeem", "request_exit"):
        with reverts("receiver: refused"):
            getattr(vault, name)(ETHER, receiver, STAKER, sender=STAKER)


def test_in__without_weth_or_approval__refused_by_weth(scene: Scene):
    scene.weth.approve(scene.vault, ETHER, sender=OUTSIDER)
    with reverts():
        scene.vault.deposit(ETHER + 1, RECEIVER, sender=OUTSIDER)
    with reverts():
        scene.vault.mint(SHARES, RECEIVER, sender=SPENDER)
    scene.vault.deposit(ETHER, RECEIVER, sender=OUTSIDER)


def test_in__too_little__refused(vault: Contract):
    for call in (vault.deposit, vault.mint):
        with reverts("deposit: zero shares"):
            call(0, RECEIVER, sender=STAKER)
    expected = vault.previewDeposit(ETHER)
    with reverts("slippage: too few shares"):
        vault.deposit(ETHER, RECEIVER, expected + 1, sender=STAKER)


def test_in__pool_closed__refused_for_the_pools_reason(scene: Scene):
    vault, pool = scene.vault, scene.pool
    for call in (vault.deposit, vault.mint):
        with scene.evm.undone():
            pool.pause(DEPOSIT, scene.evm.now + DAY, sender=GUARDIAN)
            with reverts("deposit: paused"):
                call(ETHER, RECEIVER, sender=STAKER)
        with scene.evm.undone():
            scene.protocol.report(pending_loss=50 * ETHER)
            with reverts("deposit: loss pending"):
                call(ETHER, RECEIVER, sender=STAKER)
        with scene.evm.undone():
            pool.set_deposit_ceiling(0, sender=scene.protocol.admin)
            with reverts("deposit: over the ceiling"):
                call(ETHER, RECEIVER, sender=STAKER)


def test_in__shares_over_96_bits__refused(scene: Scene):
    vault = scene.vault
    scene.protocol.rate_falls_to(1, 5)
    value, supply = scene.pool.entry_price()
    room = 2**96 - supply
    with reverts("pool: total over 96 bits"):
        vault.mint(room, RECEIVER, sender=STAKER)
    with reverts("pool: total over 96 bits"):
        vault.deposit(room * value // supply + 2, RECEIVER, sender=STAKER)


def test_in__all_assets_lost__refused(ruined: Scene):
    with reverts("pool: no value"):
        ruined.vault.deposit(ETHER, RECEIVER, sender=OUTSIDER)
    with reverts("pool: no value"):
        ruined.vault.mint(ETHER, RECEIVER, sender=OUTSIDER)
    with reverts("pool: no value"):
        ruined.vault.withdraw(1, RECEIVER, OUTSIDER, sender=OUTSIDER)


def test_out__nothing_or_too_little__refused(vault: Contract):
    for name in ("withdraw", "redeem"):
        with reverts("instant: zero assets"):
            getattr(vault, name)(0, RECEIVER, STAKER, sender=STAKER)
    with reverts("request: zero shares"):
        vault.request_exit(0, RECEIVER, STAKER, sender=STAKER)
    assets, shares = vault.previewRedeem(ETHER), vault.previewWithdraw(ETHER)
    with reverts("slippage: too few assets"):
        vault.redeem(ETHER, RECEIVER, STAKER, assets + 1, sender=STAKER)
    with reverts("slippage: too many shares"):
        vault.withdraw(ETHER, RECEIVER, STAKER, shares - 1, sender=STAKER)


@pytest.mark.parametrize("closed", ["paused", "stale", "loss"])
def test_out__instant_exit_closed__refused(scene: Scene, closed: str):
    if closed == "paused":
        scene.pool.pause(INSTANT_EXIT, scene.evm.now + DAY, sender=GUARDIAN)
    elif closed == "stale":
        scene.evm.travel(PARAMETERS.stale_after)
    else:
        scene.protocol.report(pending_loss=ETHER)
    assert scene.vault.maxWithdraw(STAKER) == scene.vault.maxRedeem(STAKER) == 0
    for name in ("withdraw", "redeem"):
        with reverts("instant: over the limit"):
            getattr(scene.vault, name)(ETHER, RECEIVER, STAKER, sender=STAKER)
