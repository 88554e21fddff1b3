"""What the campaign tries in the liquidity room, and what must hold there whatever the models say."""

# ruff: noqa: D102 - a method is named after the action that it chooses

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from floe.model.basics import DAY, ETHER, GWEI, U95, U96, UNLIMITED, ZERO, Address, Revert
from floe.model.exit_reserve import MOST_BOUGHT_TICKETS
from floe.model.stable_pair import OFF_PEG_ONE
from floe.model.tokens import ORACLE_ROLE, PAUSER_ROLE
from tests.stateful.actions import Action, perform
from tests.stateful.choices import Choices
from tests.stateful.chooser import HOLDERS, MAX_STAKE, MOVERS
from tests.stateful.invariants import Guard, demand, parts_of
from tests.stateful.invariants import finish as finish_books
from tests.stateful.market import (
    ADMINISTERED,
    BURN,
    DENY,
    FEE,
    GAUGE,
    MARKET_CALLS,
    OTHER_CONTRACTS,
    PAIR,
    PLACES,
    REFUSE_QUIETLY,
    RESERVE,
    REVERT,
    REWARD,
    REWARDS,
    SILENT,
    VAULT,
    WETH,
    WITH_PERMIT,
    ZAP,
    MarketWorld,
    roles_of,
)
from tests.stateful.oracle import agreed
from tests.stateful.world import (
    ACTORS,
    ADMIN,
    COUNCIL,
    EXECUTION_VAULT,
    INSIST,
    OPERATOR,
    OUTSIDER,
    POOL,
    REACT,
    REENTERER,
    REFUSE,
    REPORT_ORACLE,
    STAKERS,
    TREASURER,
    WITHDRAWAL_VAULT,
)


class MarketChoices(Choices):
    """Chooses actions in a world with a market."""

    w: MarketWorld

    # --- who and how much ---

    def receiver(self, sender: Address) -> Address:
        return self.pick(list(PLACES)) if self.chance(3) else super().receiver(sender)

    def more(self, sender: Address) -> list[Address]:
        """Choose nothing, or a receiver."""
        return [] if self.chance(50) else [self.receiver(sender)]

    def owner(self, token: Address) -> Address:
        """Choose somebody who probably has some of a token of the market."""
        balances = self.w.erc20s[token].balances
        for _ in range(4):
            account = self.pick(HOLDERS)
            if balances.get(account):
                return account
        return account

    def having(self, token: Address, owner: Address) -> int:
        if token == POOL:
            return self.w.pool.balances.get(owner, 0)
        return self.w.erc20s[token].balances.get(owner, 0)

    def least(self, fair: int | None) -> int:
        """Choose a least result, mostly one that is reached."""
        kind = self.bits(4)
        if fair is None or kind < 8:
            return 0
        if kind < 13:
            return fair
        near = fair + self.pick((1, -1, 1 + fair // 100)) if kind < 15 else self.amount(fair)
        return min(max(near, 0), UNLIMITED)

    def previewed(self, view: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a view of the model says, None when it reverts."""
        try:
            return view(*arguments)
        except Exception:
            return None

    def admin_of(self, place: Address) -> Address:
        usual = ("admin", ADMIN) in roles_of(self.w, place).members and self.chance(88)
        return ADMIN if usual else self.pick((OPERATOR, self.anybody()))

    # --- the pair ---

    def size(self, side: int) -> int:
        """Choose what to trade: mostly little of what is there, now and then more than all."""
        kind = self.bits(5)
        if kind < 20:
            return self.upto(side // 20 + GWEI)
        if kind < 26:
            return self.upto(side)
        return self.amount(side * 3) if kind < 31 else self.amount(side * 300)

    def pair_buy(self) -> Action:
        pair, sender = self.w.pair, self.pick(HOLDERS)
        value = min(self.size(max(pair.eth, ETHER)), MAX_STAKE)
        fair = self.previewed(pair.preview_buy, value) if self.chance(40) else None
        return ["pair_buy", sender, value, self.least(fair), *self.more(sender)]

    def pair_sell(self) -> Action:
        pair, sender = self.w.pair, self.holder()
        has = self.w.pool.balances.get(sender, 0)
        shares = self.size(pair.floeth) if self.chance(70) else self.amount(has)
        shares = min(shares, has) if self.chance(90) else shares
        fair = self.previewed(pair.preview_sell, shares) if self.chance(40) else None
        return ["pair_sell", sender, shares, self.least(fair), *self.more(sender)]

    def pair_add(self) -> Action:
        pair, sender = self.w.pair, self.holder()
        has = self.w.pool.balances.get(sender, 0)
        kind = self.bits(3)
        if not pair.erc20.supply:
            value, shares = self.size(ETHER), min(self.size(ETHER), has)
        elif kind < 3:
            value = self.size(pair.eth)
            shares = min(value * pair.floeth // (pair.eth or 1), has)
        elif kind < 5:
            value, shares = self.size(pair.eth), 0
        elif kind < 7:
            value, shares = 0, min(self.size(pair.floeth), has)
        else:
            value, shares = self.value(pair.eth), self.amount(has)
        value = min(value, MAX_STAKE)
        fair = self.previewed(pair.preview_add, value, shares) if self.chance(40) else None
        return ["pair_add", sender, value, shares, self.least(fair), *self.more(sender)]

    def pair_remove(self) -> Action:
        pair, sender = self.w.pair, self.owner(PAIR)
        liquidity = self.amount(self.having(PAIR, sender) // self.pick((1, 3, 30)))
        fair = self.previewed(pair.preview_remove, liquidity) if self.chance(40) else None
        wei, shares = fair or (None, None)
        return ["pair_remove", sender, liquidity, self.least(wei), self.least(shares), *self.more(sender)]

    def pair_remove_one(self) -> Action:
        pair, sender, of_ether = self.w.pair, self.owner(PAIR), bool(self.bits(1))
        liquidity = self.amount(self.having(PAIR, sender) // self.pick((1, 10, 100)))
        fair = self.previewed(pair.preview_remove_one, liquidity, of_ether) if self.chance(40) else None
        return ["pair_remove_one", sender, liquidity, of_ether, self.least(fair), *self.more(sender)]

    def pair_collect(self) -> Action:
        return ["pair_collect", self.anybody()]

    def pair_ramp(self) -> Action:
        now, a = self.w.chain.now, self.w.pair.amplification()
        to = self.pick((a, a * 2, a // 2, a * 10, a * 10 + 1, a // 10, a // 10 - 1, 100, 99, 500_000, 500_001))
        end = now + self.pick((DAY, DAY, 2 * DAY, 9 * DAY, 100 * DAY, DAY - 1, 0))
        return ["pair_ramp", self.admin_of(PAIR), max(to, 0), self.pick((end, end, end, end, 0, UNLIMITED, 2**40))]

    def pair_stop_ramp(self) -> Action:
        return ["pair_stop_ramp", self.admin_of(PAIR)]

    def pair_set_fees(self) -> Action:
        one = OFF_PEG_ONE
        numbers = [
            self.pick((50, 400, 400, 3_000, 10_000)),
            self.pick((one, 5 * one, 5 * one, 20 * one)),
            self.pick((0, 200_000, 500_000)),
        ]
        if self.chance(20):
            numbers[self.pick((0, 1, 2))] = self.pick((0, 49, 10_001, one - 1, 20 * one + 1, 500_001, UNLIMITED))
        return ["pair_set_fees", self.admin_of(PAIR), *numbers]

    def pair_set_fee_receiver(self) -> Action:
        receiver = self.pick((TREASURER, TREASURER, OPERATOR, REENTERER, ZERO, PAIR, self.anybody()))
        return ["pair_set_fee_receiver", self.admin_of(PAIR), receiver]

    # --- the exit reserve ---

    def reserve_sell(self) -> Action:
        reserve, sender = self.w.reserve, self.holder()
        has = self.w.pool.balances.get(sender, 0)
        rate = self.w.pool.exit_rate() or 1
        shares = min(self.size(reserve.books.cash * ETHER // rate // 3), has) if self.chance(90) else self.amount(has)
        fair = self.previewed(reserve.preview_sell, shares) if self.chance(40) else None
        return ["reserve_sell", sender, shares, self.least(fair), *self.more(sender)]

    def reserve_sell_ticket(self) -> Action:
        queue, reserve = self.w.queue, self.w.reserve
        ticket = self.ticket()
        for _ in range(3):
            if queue.pending(ticket) >= reserve.parameters.min_ticket and queue.owners[ticket] not in PLACES:
                break
            ticket = self.ticket()
        sender = self.owner_of(ticket) if self.chance(92) else self.anybody()
        fair = self.previewed(reserve.preview_sell_ticket, ticket) if self.chance(40) else None
        more = self.more(sender)
        if more and self.chance(50):
            more.append(self.hint(ticket))  # type: ignore[arg-type]
        return ["reserve_sell_ticket", sender, ticket, self.least(fair), *more]

    def crowd(self) -> list[Action]:
        """Sell the reserve so many tickets that it takes no more."""
        sender, least = self.holder(), self.w.reserve.parameters.min_ticket
        count, first = MOST_BOUGHT_TICKETS - len(self.w.reserve.tickets) + 1, len(self.w.queue.ends)
        sales: list[Action] = [["reserve_sell_ticket", sender, first + k, 0] for k in range(max(count, 0))]
        return [["request_many", sender, [least] * len(sales), sender], *sales]

    def reserve_queue(self) -> Action:
        return ["reserve_queue", self.anybody()]

    def reserve_claim(self) -> Action:
        tickets = self.w.reserve.tickets
        filled = self.w.queue.filled()
        ready = [index for index, ticket in enumerate(tickets) if ticket.start < filled]
        index = self.pick(ready) if ready and self.chance(90) else self.pick((0, len(tickets), UNLIMITED))
        hint = [self.hint(tickets[index].ticket)] if index < len(tickets) and self.chance(50) else []
        return ["reserve_claim", self.anybody(), index, *hint]

    def reserve_stake(self) -> Action:
        reserve, sender = self.w.reserve, self.pick(HOLDERS)
        value = self.value(self.w.pool.assets // 20 + ETHER)
        if self.chance(60):
            value, entry = self.size(reserve.books.held), self.w.pool.entry_rate()
            value = min(value * entry // ETHER + self.bits(1), MAX_STAKE)
        fair = self.previewed(reserve.preview_stake, value) if self.chance(40) else None
        more: list[Any] = [self.receiver(sender), self.least(fair), self.pick((ZERO, OUTSIDER))]
        return ["reserve_stake", sender, value, *more[: self.bits(2)]]

    def reserve_deposit(self) -> Action:
        reserve, sender = self.w.reserve, self.pick(HOLDERS)
        value = self.value(self.previewed(reserve.total_assets) or ETHER)
        assets = value if self.chance(95) else self.amount(value)
        fair = self.previewed(reserve.convert_to_shares, value) if self.chance(40) else None
        more = [self.least(fair)] if fair is not None else []
        return ["reserve_deposit", sender, value, assets, self.receiver(sender), *more]

    def reserve_mint(self) -> Action:
        reserve, sender = self.w.reserve, self.pick(HOLDERS)
        shares = self.amount(reserve.erc20.supply or ETHER)
        cost = self.previewed(reserve.preview_mint, shares) or 0
        value = cost + self.pick((0, 0, 0, -1, 1, self.bits(60), 10**9))
        return ["reserve_mint", sender, min(max(value, 0), MAX_STAKE), shares, self.receiver(sender)]

    def _reserve_exit(self) -> tuple[Address, Address, Address]:
        owner = self.owner(RESERVE)
        sender = owner if self.chance(80) else self.pick(MOVERS)
        return sender, self.receiver(sender), owner

    def reserve_withdraw(self) -> Action:
        reserve = self.w.reserve
        sender, receiver, owner = self._reserve_exit()
        most = self.previewed(reserve.max_withdraw, owner) or 0
        assets = self.amount(most // self.pick((1, 3, 30)))
        shares = self.previewed(reserve.preview_withdraw, assets) if self.chance(40) else None
        more = [] if shares is None else [max(shares + self.pick((0, 0, 1, -1)), 0)]
        return ["reserve_withdraw", sender, assets, receiver, owner, *more]

    def reserve_redeem(self) -> Action:
        reserve = self.w.reserve
        sender, receiver, owner = self._reserve_exit()
        most = self.previewed(reserve.max_redeem, owner) if self.chance(60) else self.having(RESERVE, owner)
        shares = self.amount((most or 0) // self.pick((1, 3, 30)))
        fair = self.previewed(reserve.convert_to_assets, shares) if self.chance(40) else None
        more = [self.least(fair)] if fair is not None else []
        return ["reserve_redeem", sender, shares, receiver, owner, *more]

    def reserve_set_parameters(self) -> Action:
        low = self.pick((0, 500, 500, 20_000))
        cash = self.w.reserve.books.cash
        numbers = [
            low,
            max(self.pick((low, 20_000, 100_000)), low),
            self.pick((0, 1, 1_000 * ETHER, cash, 2 * cash, U96)),
            bool(self.bits(1)),
            self.pick((10**15, ETHER // 10, ETHER // 10, 32 * ETHER)),
        ]
        if self.chance(20):
            numbers[self.pick((0, 1, 2, 4))] = self.pick((0, 100_001, 10**15 - 1, 32 * ETHER + 1, U96 + 1, UNLIMITED))
        return ["reserve_set_parameters", self.admin_of(RESERVE), *numbers]

    # --- the gauge ---

    def staker(self) -> Address:
        """Choose somebody who probably has staked."""
        staked = self.w.gauge.staked
        for _ in range(3):
            account = self.pick(HOLDERS)
            if staked.get(account):
                return account
        return account

    def gauge_stake(self) -> Action:
        sender = self.owner(PAIR)
        amount = self.amount(self.having(PAIR, sender) // self.pick((1, 2, 5)))
        return ["gauge_stake", sender, amount, *self.more(sender)]

    def gauge_withdraw(self) -> Action:
        sender = self.staker()
        amount = self.amount(self.w.gauge.staked.get(sender, 0) // self.pick((1, 2, 5)))
        return ["gauge_withdraw", sender, amount, *self.more(sender)]

    def gauge_emergency_exit(self) -> Action:
        return ["gauge_emergency_exit", self.staker()]

    def reward_token(self) -> Address:
        return self.pick(REWARDS) if self.chance(95) else self.pick((PAIR, RESERVE, OUTSIDER))

    def gauge_claim(self) -> Action:
        account = self.staker()
        return ["gauge_claim", account if self.chance(50) else self.anybody(), account, self.reward_token()]

    def gauge_claim_to(self) -> Action:
        sender = self.staker()
        return ["gauge_claim_to", sender, self.reward_token(), self.receiver(sender)]

    def gauge_claim_all(self) -> Action:
        account = self.staker()
        return ["gauge_claim_all", account if self.chance(50) else self.anybody(), account]

    def gauge_notify(self) -> list[Action]:
        distributor = self.w.gauge.distributors.get(REWARD, ZERO)
        if distributor in ACTORS and self.chance(4):  # more than fits
            mint = ["reward_mint", OUTSIDER, distributor, U96 + 1]
            return [mint, ["gauge_notify", distributor, REWARD, U96 + self.bits(1)]]
        token = self.reward_token()
        usual = self.w.gauge.distributors.get(token, ZERO)
        sender = usual if usual != ZERO and self.chance(92) else self.anybody()
        has = self.having(token, sender) if token in REWARDS else 0
        return [["gauge_notify", sender, token, self.amount(has // self.pick((1, 2, 50, 1_000)))]]

    def gauge_add_reward(self) -> list[Action]:
        period = self.pick((3_600, DAY, 7 * DAY, 7 * DAY, 366 * DAY, 3_599, 366 * DAY + 1, UNLIMITED))
        admin, distributor = self.admin_of(GAUGE), self.pick((OPERATOR, STAKERS[0], REENTERER))
        others = [*REWARDS, PAIR, RESERVE, VAULT, OUTSIDER, *OTHER_CONTRACTS]
        tokens = others[3:] if self.chance(10) else [self.pick(others)]
        return [["gauge_add_reward", admin, token, distributor, period] for token in tokens]

    def gauge_set_distributor(self) -> Action:
        account = self.pick((OPERATOR, STAKERS[0], REENTERER, self.anybody(), ZERO))
        return ["gauge_set_distributor", self.admin_of(GAUGE), self.reward_token(), account]

    # --- the adapters ---

    def vault_deposit(self) -> Action:
        sender = self.owner(WETH)
        assets = self.amount(self.having(WETH, sender) // self.pick((1, 10, 100)))
        fair = self.previewed(self.w.pool.convert_to_shares, assets) if self.chance(40) else None
        more = [self.least(fair)] if fair is not None else []
        return ["vault_deposit", sender, assets, self.receiver(sender), *more]

    def vault_mint(self) -> Action:
        sender = self.owner(WETH)
        worth = self.previewed(self.w.pool.convert_to_shares, self.having(WETH, sender)) or 0
        return ["vault_mint", sender, self.amount(worth // self.pick((1, 10, 100))), self.receiver(sender)]

    def _vault_exit(self) -> tuple[Address, Address, Address]:
        owner = self.owner(VAULT)
        sender = owner if self.chance(80) else self.pick(MOVERS)
        return sender, self.receiver(sender), owner

    def vault_withdraw(self) -> Action:
        sender, receiver, owner = self._vault_exit()
        assets = self.amount(self.previewed(self.w.vault.max_withdraw, owner) or ETHER)
        near = self.previewed(self.w.pool.preview_withdraw, assets)
        more = [] if near is None or self.chance(60) else [max(near + self.pick((0, 0, 1, -1)), 0)]
        return ["vault_withdraw", sender, assets, receiver, owner, *more]

    def vault_redeem(self) -> Action:
        sender, receiver, owner = self._vault_exit()
        shares = self.amount(self.previewed(self.w.vault.max_redeem, owner) or self.having(VAULT, owner))
        fair = self.previewed(self.w.pool.preview_redeem, shares) if self.chance(40) else None
        more = [self.least(fair)] if fair is not None else []
        return ["vault_redeem", sender, shares, receiver, owner, *more]

    def vault_request_exit(self) -> Action:
        sender, receiver, owner = self._vault_exit()
        return ["vault_request_exit", sender, self.amount(self.having(VAULT, owner) // 3), receiver, owner]

    def vault_claim(self) -> Action:
        mine = [ticket for ticket, owner in enumerate(self.w.queue.owners) if owner == VAULT]
        ticket = self.pick(mine) if mine and self.chance(90) else self.ticket()
        return ["vault_claim", self.anybody(), ticket] + ([self.hint(ticket)] if self.chance(50) else [])

    def zap(self) -> Action:
        sender = self.owner(WETH)
        into = self.pick((1, 1, 2, 4, 4, 4)) if self.chance(96) else self.pick((0, 3, 7, 8))
        value = self.value(self.w.pair.eth // 4 + ETHER) if self.chance(70) else 0
        wrapped = min(self.amount(self.having(WETH, sender) // 20), UNLIMITED) if self.chance(50) else 0
        least = 0 if self.chance(80) else min(self.amount(value + wrapped), UNLIMITED)
        return ["zap", sender, value, into, wrapped, least, self.receiver(sender)]

    # --- tokens, roles, gifts ---

    def weth_deposit(self) -> Action:
        return ["weth_deposit", self.pick(HOLDERS), self.value(self.w.pool.assets // 10 + ETHER)]

    def weth_withdraw(self) -> Action:
        sender = self.pick(STAKERS)  # the 2,300 gas are too little for what others do
        return ["weth_withdraw", sender, self.amount(self.having(WETH, sender))]

    def market_ether(self) -> Action:
        return ["market_ether", self.pick(HOLDERS), self.value(ETHER), self.pick(list(PLACES))]

    def feed_round(self) -> Action:
        return ["feed_round", self.anybody(), self.w.pool.report_at if self.chance(50) else self.bits(80)]

    def reward_mint(self) -> Action:
        return ["reward_mint", self.anybody(), self.pick((OPERATOR, STAKERS[0], REENTERER)), self.upto(10**24)]

    def reward_behave(self) -> Action:
        conduct = self.pick((0, 0, 0, 0, SILENT, DENY, FEE, BURN, REVERT, REFUSE_QUIETLY))
        return ["reward_behave", self.anybody(), conduct]

    def token_of_market(self) -> Address:
        token = self.pick((PAIR, PAIR, RESERVE, VAULT, WETH, REWARD))
        # Who burns the gas of his own transaction learns nothing.
        return token if token != REWARD or self.w.reward.conduct != BURN else WETH

    def market_transfer(self) -> Action:
        token = self.token_of_market()
        sender = self.owner(token)
        receiver = self.receiver(self.anybody())
        return ["market_transfer", sender, token, receiver, self.amount(self.having(token, sender) // 3)]

    def market_transfer_from(self) -> Action:
        token, sender = self.token_of_market(), self.pick(MOVERS)
        owner = self.owner(token) if self.chance(95) else ZERO
        allowed = self.w.erc20s[token].allowances.amounts.get((owner, sender), 0)
        amount = self.amount(min(allowed, self.having(token, owner)))
        return ["market_transfer_from", sender, token, owner, self.receiver(sender), amount]

    def market_approve(self) -> Action:
        token = self.token_of_market()
        owner, spender = self.owner(token), self.pick((*MOVERS, *MOVERS, GAUGE, VAULT, ZAP, ZERO))
        amount = UNLIMITED if self.chance(60) or spender in PLACES else self.amount(self.having(token, owner))
        return ["market_approve", owner, token, spender, amount]

    def approve(self) -> Action:
        if self.chance(50):
            return super().approve()
        amount = UNLIMITED if self.chance(90) else self.amount(ETHER)
        return ["approve", self.holder(), POOL, self.pick((PAIR, RESERVE, GAUGE)), amount]

    def market_permit(self) -> Action:
        owner, token = self.pick(STAKERS), self.pick(WITH_PERMIT)
        nonce = self.w.erc20s[token].allowances.nonces.get(owner, 0) + (0 if self.chance(85) else self.pick((-1, 1)))
        amount = self.pick((ETHER, UNLIMITED))
        deadline = self.pick((UNLIMITED, UNLIMITED, UNLIMITED, 1))
        signer = owner if self.chance(90) else STAKERS[0]
        form = self.pick(("good",) * 8 + ("high s", "invalid"))
        spender = self.pick((OPERATOR, OPERATOR, GAUGE))
        sender = self.anybody()
        return ["market_permit", sender, token, owner, spender, amount, deadline, signer, max(nonce, 0), form]

    def market_role(self) -> Action:
        place = self.pick(ADMINISTERED)
        return ["market_role", self.admin_of(place), place, self.pick(("grant", "revoke")), OPERATOR]

    def force(self) -> Action:
        if self.chance(60):
            return super().force()
        return ["force", self.pick(list(PLACES)), self.upto(ETHER)]

    def ordered(self) -> Action:
        """Let the room's ETH arrive where something else is done meanwhile."""
        account = REENTERER
        outer = self.pick(PAYING)(self)
        place = {"pair_buy": 4, "pair_sell": 4, "pair_remove": 5, "pair_remove_one": 5, "reserve_sell": 4}
        if (at := place.get(outer[0])) is not None:
            outer[at:] = [account]
        elif outer[0] in ("reserve_withdraw", "reserve_redeem"):
            outer[3] = account
        elif outer[0] == "reserve_mint":
            outer[1], outer[2] = account, min(outer[2] + self.bits(60), MAX_STAKE)
        elif outer[0] == "reserve_sell_ticket":
            outer[4:] = [account]
        conduct = self.pick((REFUSE, INSIST, REACT, REACT, REACT))
        reaction: Action | None = None
        if conduct != REFUSE:
            reaction = self.pick(INSIDE)(self)
            reaction = [reaction[0], *reaction[2:]]
        return ["ordered", account, conduct, reaction, outer]


PAYING: list[Callable[[MarketChoices], Action]] = [
    MarketChoices.pair_sell, MarketChoices.pair_sell, MarketChoices.pair_remove, MarketChoices.pair_remove_one,
    MarketChoices.reserve_sell, MarketChoices.reserve_sell, MarketChoices.reserve_withdraw,
    MarketChoices.reserve_redeem, MarketChoices.reserve_mint, MarketChoices.reserve_sell_ticket,
    MarketChoices.redeem,
]  # fmt: skip
"""What sends ETH."""

MARKET_WEIGHTS: dict[Callable[[MarketChoices], Any], int] = {
    MarketChoices.pair_buy: 60, MarketChoices.pair_sell: 60, MarketChoices.pair_add: 45, MarketChoices.pair_remove: 30,
    MarketChoices.pair_remove_one: 30, MarketChoices.pair_collect: 8, MarketChoices.pair_ramp: 6,
    MarketChoices.pair_stop_ramp: 3, MarketChoices.pair_set_fees: 6, MarketChoices.pair_set_fee_receiver: 5,
    MarketChoices.reserve_sell: 60, MarketChoices.reserve_sell_ticket: 30, MarketChoices.reserve_queue: 20,
    MarketChoices.crowd: 1,
    MarketChoices.reserve_claim: 25, MarketChoices.reserve_stake: 40, MarketChoices.reserve_deposit: 30,
    MarketChoices.reserve_mint: 15, MarketChoices.reserve_withdraw: 20, MarketChoices.reserve_redeem: 20,
    MarketChoices.reserve_set_parameters: 8,
    MarketChoices.gauge_stake: 30, MarketChoices.gauge_withdraw: 20, MarketChoices.gauge_emergency_exit: 5,
    MarketChoices.gauge_claim: 20, MarketChoices.gauge_claim_to: 10, MarketChoices.gauge_claim_all: 12,
    MarketChoices.gauge_notify: 20, MarketChoices.gauge_add_reward: 6, MarketChoices.gauge_set_distributor: 4,
    MarketChoices.reward_mint: 6, MarketChoices.reward_behave: 5,
    MarketChoices.vault_deposit: 18, MarketChoices.vault_mint: 10, MarketChoices.vault_withdraw: 12,
    MarketChoices.vault_redeem: 12, MarketChoices.vault_request_exit: 12, MarketChoices.vault_claim: 12,
    MarketChoices.zap: 30, MarketChoices.weth_deposit: 10, MarketChoices.weth_withdraw: 6,
    MarketChoices.market_ether: 4, MarketChoices.market_transfer: 12, MarketChoices.market_transfer_from: 8,
    MarketChoices.market_approve: 8, MarketChoices.market_permit: 6, MarketChoices.market_role: 2,
    MarketChoices.feed_round: 2,
    MarketChoices.deposit: 20, MarketChoices.send_ether: 4, MarketChoices.redeem: 8, MarketChoices.transfer: 12,
    MarketChoices.approve: 12, MarketChoices.fulfil: 35, MarketChoices.declare_stale: 4,
    MarketChoices.send_to_validators: 14, MarketChoices.raise_pending_loss: 4, MarketChoices.report: 22,
    MarketChoices.lie: 3, MarketChoices.decide: 4, MarketChoices.pause: 5, MarketChoices.set_parameters: 3,
    MarketChoices.request: 30, MarketChoices.request_many: 8, MarketChoices.claim: 15, MarketChoices.claim_many: 4,
    MarketChoices.ticket_approve: 4, MarketChoices.approve_for_all: 6, MarketChoices.ticket_transfer: 8,
    MarketChoices.ticket_safe_transfer: 5, MarketChoices.travel: 45, MarketChoices.force: 8,
    MarketChoices.ordered: 30,
}  # fmt: skip
MARKET_LOTS: list[Callable[[MarketChoices], Any]] = [
    choose for choose, weight in MARKET_WEIGHTS.items() for _ in range(weight)
]
INSIDE: list[Callable[[MarketChoices], Action]] = [
    *(
        choose
        for choose in MARKET_WEIGHTS
        if choose.__name__ in MARKET_CALLS.keys() - {"gauge_add_reward", "gauge_notify"}
    ),
    MarketChoices.deposit, MarketChoices.redeem, MarketChoices.transfer, MarketChoices.request, MarketChoices.fulfil,
    MarketChoices.claim,
]  # fmt: skip
"""What a receiver may do meanwhile: one transaction, where some choices are several."""


# --- what must hold ---


class State(NamedTuple):
    """What the room's shares were worth."""

    free: int | None
    """Value of all liquidity in wei, None where the curve has none."""
    liquidity: int
    amplification: int
    entry: tuple[int, int]
    value: int
    """Of the reserve, in wei."""
    shares: int
    rate: int
    tickets: int

    @classmethod
    def of(cls, w: MarketWorld) -> State:
        """Look at the models."""
        pair, reserve, pool = w.pair, w.reserve, w.pool
        free = None
        if pair.erc20.supply:
            try:
                market = pair.market()
                free = market.d - market.locked
            except Revert:
                pass
        value = reserve.total_assets() if reserve.erc20.supply else 0
        return cls(
            free, pair.erc20.supply, pair.amplification(), pool.entry_price(), value, reserve.erc20.supply,
            pool.exit_rate(), len(reserve.tickets),
        )  # fmt: skip


class MarketGuard(Guard):
    """Judges the room as well."""

    w: MarketWorld

    def __init__(self, world: MarketWorld) -> None:
        super().__init__(world)
        self.zap_held = zap_holds(world)
        self._note_settings()

    def note(self) -> None:
        super().note()
        self.state = State.of(self.w)

    def _note_settings(self) -> None:
        self.settings, self.admins = settings(self.w), admins(self.w)

    def step(self, action: Action) -> None:
        before = self.state
        super().step(action)
        self.state = now = State.of(self.w)
        check_worth(before, now)
        check_room(self.w)
        actors = {part[1] for part in parts_of(action) if len(part) > 1}
        if action[0].startswith("gauge"):
            check_gauge(self.w)
        if (changed := settings(self.w)) != self.settings or admins(self.w) != self.admins:
            for place, setting in changed.items():
                if setting != self.settings[place]:
                    allowed = any((place, actor) in self.admins for actor in actors)
                    demand(allowed, f"INV-18: settings of the {PLACES[place]} changed without the role admin")
            self._note_settings()
        held = zap_holds(self.w)
        demand(action[0] != "zap" or held == self.zap_held, "INV-22: the zap kept something")
        self.zap_held = held


def settings(w: MarketWorld) -> dict[Address, Any]:
    """Return what only an admin may change."""
    pair, gauge = w.pair, w.gauge
    return {
        PAIR: (pair.fees, pair.a_from, pair.a_to, pair.ramp_end, pair.fee_receiver, frozenset(pair.roles.members)),
        RESERVE: (w.reserve.parameters, frozenset(w.reserve.roles.members)),
        GAUGE: (tuple(gauge.tokens), dict(gauge.distributors), frozenset(gauge.roles.members)),
    }


def admins(w: MarketWorld) -> set[tuple[Address, Address]]:
    """Contract and account of everybody who has a role in the room."""
    return {(place, account) for place in ADMINISTERED for _, account in roles_of(w, place).members}


def check_worth(before: State, now: State) -> None:
    """INV-23, INV-24: the value of liquidity and of the reserve's shares never falls but by a loss of the pool."""
    (v0, s0), (v1, s1) = before.entry, now.entry
    ramped_down = now.amplification < before.amplification
    if before.free is not None and now.free is not None and v1 * s0 >= v0 * s1 and not ramped_down:
        held = (now.free + 2) * before.liquidity >= before.free * now.liquidity
        demand(held, "INV-23: the value of the pair's liquidity fell")
    if before.shares and now.shares and now.rate >= before.rate:
        held = (now.value + 2 + 2 * now.tickets) * before.shares >= before.value * now.shares
        demand(held, "INV-24: the value of the reserve's shares fell")


def check_room(w: MarketWorld) -> None:
    """INV-22: the books are no more than what is there, and all shares are the sum of their holders'."""
    pair, reserve, vault, gauge, pool, ether = w.pair, w.reserve, w.vault, w.gauge, w.pool, w.chain.ether
    shares = pool.balances
    demand(pair.eth <= ether[PAIR] and pair.floeth <= shares.get(PAIR, 0), "INV-22: the pair's books say too much")
    demand(reserve.books.cash <= ether[RESERVE], "INV-22: the reserve's books say too much ETH")
    demand(reserve.books.held <= shares.get(RESERVE, 0), "INV-22: the reserve's books say too much floETH")
    demand(vault.erc20.supply <= shares.get(VAULT, 0), "INV-22: shares of the WETH vault are not backed")
    demand(gauge.total_staked <= pair.erc20.balances.get(GAUGE, 0), "INV-22: stakes in the gauge are not there")
    demand(gauge.total_staked == sum(gauge.staked.values()), "INV-22: stakes in the gauge are not their sum")
    queued = sum(ticket.end - ticket.start for ticket in reserve.tickets)
    demand(reserve.books.queued == queued, "INV-22: the reserve's tickets are not their sum")
    owners = w.queue.owners
    demand(all(owners[t.ticket] == RESERVE for t in reserve.tickets), "INV-22: a ticket is not the reserve's")
    for token in (pair.erc20, reserve.erc20, vault.erc20, w.weth, w.reward):
        if token is not w.reward:
            demand(token.supply == sum(token.balances.values()), "INV-22: shares are not the sum of balances")


def check_gauge(w: MarketWorld) -> None:
    """INV-25: what was notified is what streams, what was earned and what was paid, to the last fraction."""
    gauge = w.gauge
    for token in gauge.tokens:
        demand(gauge.unexplained(token) == 0, "INV-25: the gauge's equation does not hold")
        if token in (POOL, WETH):
            paid, notified = gauge.paid.get(token, 0), gauge.notified.get(token, 0)
            there = w.pool.balances if token == POOL else w.weth.balances
            demand(notified - paid <= there.get(GAUGE, 0), "INV-25: the gauge owes more than it has")


def zap_holds(w: MarketWorld) -> tuple[int, ...]:
    """Everything that lies in the zap."""
    books = (w.chain.ether, w.pool.balances, w.weth.balances, w.token.shares_of, w.pair.erc20.balances)
    return tuple(book.get(ZAP, 0) for book in books)


# --- the end of a sequence ---

LINE_FULL = "request: line over 95 bits"


def finish(w: MarketWorld, guard: Guard, seed: str) -> None:
    """End a sequence: nobody gains by going in and out; then everybody leaves; then as everywhere."""
    random = Random(seed)
    _round_trips(w, random)
    perform(w, ["travel", 12])  # fresh liquidity stays for a block
    _leave_gauge(w, random)
    _leave_pair(w, random)
    _leave_vault(w)
    _leave_reserve(w, guard)
    check_room(w)
    check_gauge(w)
    finish_books(w, guard, seed)


def _holders(balances: dict[Address, int]) -> list[Address]:
    return [account for account in ACTORS if balances.get(account)]


def _round_trips(w: MarketWorld, random: Random) -> None:
    """INV-26: who goes in and out in one block has not more than before."""
    guest, pool, pair = OUTSIDER, w.pool, w.pair
    for token in (POOL, PAIR, RESERVE, VAULT):
        for spender in (PAIR, RESERVE, GAUGE, VAULT):
            name = "approve" if token == POOL else "market_approve"
            perform(w, [name, guest, token, spender, UNLIMITED])
    for _ in range(2):
        amount = random.choice((1, 10**9, random.randrange(10**19), random.randrange(pair.eth // 2 + 2)))
        ether, shares = w.chain.ether[guest], pool.balances.get(guest, 0)
        stakes = w.reserve.erc20.balances.get(guest, 0)
        kind = random.randrange(4)
        if kind == 0:
            perform(w, ["pair_buy", guest, amount, 0])
            perform(w, ["pair_sell", guest, pool.balances.get(guest, 0) - shares, 0])
        elif kind == 1:
            if perform(w, ["pair_add", guest, amount, 0, 0]) is None:
                fresh = pair.erc20.balances[guest]
                for leave in (["pair_remove_one", guest, fresh, True, 0], ["pair_remove", guest, fresh, 0, 0]):
                    left = perform(w, leave)
                    demand(left is not None, "INV-26: liquidity left in the block in which it came")
        elif kind == 2:
            perform(w, ["reserve_stake", guest, amount])
            perform(w, ["reserve_sell", guest, pool.balances.get(guest, 0) - shares, 0])
        else:
            perform(w, ["reserve_deposit", guest, amount, amount, guest])
            got = w.reserve.erc20.balances.get(guest, 0) - stakes
            perform(w, ["reserve_redeem", guest, got, guest, guest])
        demand(pool.balances.get(guest, 0) >= shares, "INV-26: a round trip took more shares than it gave")
        demand(w.chain.ether[guest] <= ether, "INV-26: a round trip made a profit")


def _leave_gauge(w: MarketWorld, random: Random) -> None:
    """INV-27: whoever staked gets all of it back, whatever the rewards do."""
    for account in _holders(w.gauge.staked):
        had, stake = w.pair.erc20.balances.get(account, 0), w.gauge.staked[account]
        perform(w, ["gauge_claim_all", OUTSIDER, account])
        leave = ["gauge_withdraw", account, stake] if random.random() < 0.5 else ["gauge_emergency_exit", account]
        demand(perform(w, leave) is None, "INV-27: a stake cannot be withdrawn")
        demand(w.pair.erc20.balances[account] == had + stake, "INV-27: a stake came back smaller")
    left = sum(stake for account, stake in w.gauge.staked.items() if account not in ACTORS)
    demand(w.gauge.total_staked == left, "INV-27: the gauge is not empty")


def _leave_pair(w: MarketWorld, random: Random) -> None:
    """INV-27: all liquidity can be removed, whatever the balance; what stays is that of those who cannot ask."""
    pair = w.pair
    accounts = _holders(pair.erc20.balances)
    random.shuffle(accounts)
    for account in accounts:
        liquidity = pair.erc20.balances[account]
        taken = perform(w, ["pair_remove", account, liquidity, 0, 0, EXECUTION_VAULT])
        demand(taken in (None, "pair: too small"), f"INV-27: liquidity cannot be removed: {taken}")
        demand(taken is None or liquidity < GWEI, "INV-27: liquidity that is worth something cannot be removed")
    perform(w, ["pair_collect", OUTSIDER])


def _leave_vault(w: MarketWorld) -> None:
    """INV-27: whoever holds shares of the WETH vault can ask to leave."""
    for account in _holders(w.vault.erc20.balances):
        shares = w.vault.erc20.balances[account]
        if w.queue.tail() + shares <= U95:
            asked = perform(w, ["vault_request_exit", account, shares, OUTSIDER, account])
            demand(asked is None, "INV-27: a holder of the WETH vault cannot ask to leave")


def _leave_reserve(w: MarketWorld, guard: Guard) -> None:
    """INV-27: as the reserve's tickets are paid, its shares can all be redeemed, but for rounding."""
    reserve, pool, queue = w.reserve, w.pool, w.queue
    if not reserve.erc20.supply:
        return
    asked = perform(w, ["reserve_queue", OUTSIDER])
    demand(asked in (None, "reserve: too little to queue", "reserve: too many tickets", LINE_FULL), f"INV-27: {asked}")
    if not guard.other_oracle:
        _pay_back(w)
    perform(w, ["fulfil", OUTSIDER])
    for index in range(len(reserve.tickets) - 1, -1, -1):
        if reserve.tickets[index].start < queue.filled():
            claimed = perform(w, ["reserve_claim", OUTSIDER, index])
            full = reserve.books.cash > U96 // 2  # half of all ETH that fits: no chain has that
            demand(claimed is None or full, f"INV-27: a ticket cannot be claimed: {claimed}")
    w.travel(DAY)
    if w.chain.now < pool.fulfil_paused_until:
        return
    for account in _holders(reserve.erc20.balances):
        shares = reserve.erc20.balances[account]
        worth = reserve.convert_to_assets(shares)
        taken = perform(w, ["reserve_redeem", account, shares, EXECUTION_VAULT, account])
        wanted = None if worth <= reserve.books.cash or taken is None else "reserve: too little ETH"
        demand(taken == wanted, f"INV-27: shares of the reserve cannot be redeemed: {taken}")
    if reserve.tickets or reserve.books.held:
        return
    stuck = [account for account in reserve.erc20.balances if account not in ACTORS]
    left = sum(reserve.erc20.balances[account] for account in stuck)
    held = sum(reserve.erc20.balances.get(account, 0) for account in ACTORS)
    demand(held == 0, "INV-27: not everybody left the reserve")
    demand(reserve.erc20.supply == left, "INV-27: shares of the reserve are not those that are left")


def _pay_back(w: MarketWorld) -> None:
    """Let validators pay all back, the committee report it, and all waiting exits become payable."""
    pool, oracle = w.pool, w.oracle
    if not all((role, REPORT_ORACLE) in pool.roles.members for role in (ORACLE_ROLE, PAUSER_ROLE)):
        return
    back = min(pool.outside, max(U96 - pool.withdrawn - w.chain.ether[WITHDRAWAL_VAULT], 0))
    perform(w, ["force", WITHDRAWAL_VAULT, back])
    w.travel(max(oracle.time_of(oracle.next_slot()) - w.chain.now, 0))
    frame = oracle.frame_slots()
    slot = (w.chain.now - oracle.genesis_time) // oracle.seconds_per_slot // frame * frame
    told = max(oracle.withdrawn_gwei * GWEI - pool.withdrawn, back)
    donated = pool.donated + w.chain.ether[WITHDRAWAL_VAULT] - told
    if donated < pool.donated:
        return
    fields = [
        slot, pool.outside - back, pool.deposited, pool.withdrawn + told, donated, w.queue.tail(), 0, pool.raised_gwei,
        0, 0,
    ]  # fmt: skip
    perform(w, ["submit", OUTSIDER, fields, *agreed(w)])
    if oracle.held is not None:
        perform(w, ["accept", COUNCIL, fields])
