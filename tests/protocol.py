"""The whole protocol in one `Evm`, with one account for each role.

`Protocol(evm)` deploys it at a rate of 1; `warm()` gives it holders, validators, a rate of about 1.0731 in odd
numbers and rewards that are still streaming, so that no rounding can hide.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from eth_account import Account as Key
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from tests.evm import DAY, ETHER, Account, Contract, Evm

GWEI = 10**9
SEED = 10**9
U96 = 2**96 - 1
UNLIMITED = 2**256 - 1
MAX_CEILING_GWEI = 2**96 // GWEI

DEPOSIT, FULFIL, INSTANT_EXIT = 1, 2, 4
"""Members of the pool's flag `Pausable`."""

STAKER_KEY: LocalAccount = Key.from_key(keccak(text="staker"))
STAKER = STAKER_KEY.address.lower()
"""Holds shares, and can sign permits."""
SAVER = "0x" + "5a" * 20
"""Holds shares, and does nothing."""
SPENDER = "0x" + "5b" * 20
"""Holds nothing, may be approved."""
OPERATOR = "0x" + "5c" * 20
"""May be approved for tickets."""
RECEIVER = "0x" + "5d" * 20
"""New to the protocol; has no code."""
OUTSIDER = "0x" + "0e" * 20
"""Has ETH and no role."""
ORACLE = "0x" + "07" * 20
GUARDIAN = "0x" + "08" * 20
"""Holds the pauser role."""
FEE_RECIPIENT = "0x" + "09" * 20
BEACON = "0x" + "be" * 20
"""Stands for the beacon chain's deposit contract: takes ETH and keeps it."""


class Parameters(NamedTuple):
    """The pool's `Parameters`."""

    fee_bps: int
    rise_bps: int
    target_bps: int
    allowance_bps: int
    instant_fee_min: int
    instant_fee_max: int
    period: int
    stale_after: int


class Report(NamedTuple):
    """The pool's `Report`."""

    cl: int
    deposited_at_ref: int
    withdrawn_at_ref: int
    donated_at_ref: int
    queue_tail_at_ref: int
    pending_loss: int
    raised_at_ref: int


PARAMETERS = Parameters(
    fee_bps=1_000,
    rise_bps=1_000,
    target_bps=1_000,
    allowance_bps=500,
    instant_fee_min=1_000,
    instant_fee_max=30_000,
    period=DAY,
    stale_after=4 * DAY,
)


def deploy_pool(evm: Evm, *, admin: Account, queue: str | None = None, seed: int = SEED, **setup: Any) -> Contract:
    """Deploy two vaults and a pool, whose queue is the deployer's next contract if none is given.

    `setup` replaces other members of the pool's `Setup`, by name.
    """
    pool = evm.next_address(ahead=2)
    members = {
        "queue": queue or evm.next_address(ahead=3),
        "withdrawal_vault": evm.deploy("WithdrawalVault", pool),
        "execution_vault": evm.deploy("ExecutionVault", pool),
        "admin": admin,
        "oracle": ORACLE,
        "registry": OUTSIDER,
        "pauser": GUARDIAN,
        "fee_recipient": FEE_RECIPIENT,
        "deposit_ceiling_gwei": MAX_CEILING_GWEI,
        "parameters": PARAMETERS,
    }
    assert setup.keys() <= members.keys()
    return evm.deploy("FloePool", tuple((members | setup).values()), value=seed)


class Protocol:
    """All contracts, deployed and wired."""

    def __init__(self, evm: Evm, **setup: Any) -> None:
        """Deploy it; `setup` is passed on to `deploy_pool`."""
        self.evm = evm
        self.admin = evm.deploy("MockWallet")
        self.registry = evm.deploy("MockRegistry", BEACON)
        self.pool = deploy_pool(evm, **{"admin": self.admin, "registry": self.registry} | setup)
        self.deployment = evm.events(self.pool)
        self.withdrawal_vault = evm.at("WithdrawalVault", self.pool.withdrawal_vault())
        self.execution_vault = evm.at("ExecutionVault", self.pool.execution_vault())
        self.queue = evm.deploy("WithdrawalQueue", self.pool)
        self.token = evm.deploy("RebasingToken", self.pool)
        self.lens = evm.deploy("Lens", self.pool, self.token)
        for account in (STAKER, SAVER, OUTSIDER, SPENDER, OPERATOR, self.admin):
            evm.fund(account, 10**6 * ETHER)

    # --- what roles do ---

    def stake(self, amount: int, account: Account = STAKER) -> int:
        """Deposit `amount` wei for `account`, who pays. Returns the shares."""
        return int(self.pool.deposit(amount, account, sender=account, value=amount))

    def to_validators(self, amount: int | None = None) -> int:
        """Send `amount` wei, or all that may go, to the beacon chain. Returns the wei."""
        amount = self.pool.stakeable() if amount is None else amount
        self.registry.stake(self.pool, amount)
        return int(amount)

    def raise_pending_loss(self, gwei: int) -> int:
        """Let the registry say that `gwei` Gwei more are lost. Returns the wei that the pool counts."""
        self.registry.raise_pending_loss(self.pool, gwei)
        return int(self.evm.events(self.pool, "PendingLossRaised")[0].fields["amount"])

    def report(
        self,
        gain: int = 0,
        *,
        withdrawn: int = 0,
        donated: int = 0,
        tail: int | None = None,
        pending_loss: int = 0,
        **fields: int,
    ) -> Any:
        """Report that the validators gained `gain` wei (lost, when negative) and the chain paid out `withdrawn`.

        Of `withdrawn` and `donated` wei, new since the last report, the vault must hold enough. Exits up to `tail`
        become eligible, by default all. `fields` replaces members of the report. Returns the fields of `Reported`.
        """
        self.pool.report(
            self.next_report(
                gain, withdrawn=withdrawn, donated=donated, tail=tail, pending_loss=pending_loss, **fields
            ),
            sender=ORACLE,
        )
        return self.evm.events(self.pool, "Reported")[0].fields

    def next_report(
        self,
        gain: int = 0,
        *,
        withdrawn: int = 0,
        donated: int = 0,
        tail: int | None = None,
        pending_loss: int = 0,
        **fields: int,
    ) -> Report:
        """Build the report that `report` sends."""
        state = self.pool.state()
        deposited, swept, raised = state[5] & U96, state[5] >> 96 & U96, state[5] >> 192
        honest = Report(
            cl=self.pool.outside() + gain - withdrawn,
            deposited_at_ref=deposited,
            withdrawn_at_ref=swept + withdrawn,
            donated_at_ref=state[7] + donated,
            queue_tail_at_ref=self.queue.tail() if tail is None else tail,
            pending_loss=pending_loss,
            raised_at_ref=raised,
        )
        return honest._replace(**fields)

    def request(self, shares: int, account: Account = STAKER) -> int:
        """Queue `shares` of `account` for itself. Returns the ticket's number."""
        return int(self.queue.request(shares, account, sender=account))

    def set_parameters(self, **changes: int) -> None:
        """Change some of the live parameters."""
        self.pool.set_parameters(PARAMETERS._replace(**changes), sender=self.admin)

    def wallet(self, shares: int = 0) -> Contract:
        """Deploy a MockWallet that holds 100 ETH and `shares`, which come from the saver."""
        wallet = self.evm.deploy("MockWallet")
        self.evm.fund(wallet, 100 * ETHER)
        if shares:
            self.pool.transfer(wallet, shares, sender=SAVER)
        return wallet

    # --- what is true of it ---

    def warm(self) -> None:
        """Bring it to a rate of about 1.0731, with 10 % of the assets in the buffer and rewards under way."""
        self.stake(321_123_456_789_012_345_679)
        self.stake(123_456_789_098_765_432_101, SAVER)
        self.to_validators()
        self.evm.travel(360 * DAY)
        self.report(gain=36_371_000_000_000_000_007)
        # What took so long to earn streams for as long.
        self.evm.travel(360 * DAY)
        self.stake(3_210_987_654_321_098_765)
        self.to_validators()
        self.report()
        self.evm.travel(DAY)
        self.report(gain=120_000_000_000_000_011)
        self.evm.travel(DAY // 3 + 1)

    def rate_falls_to(self, parts: int, of: int) -> None:
        """Report a loss that leaves `parts` of `of` of the assets, at once. Streaming rewards go first."""
        assets = self.pool.state()[0] >> 96 & U96
        self.report(gain=-(assets - assets * parts // of))
