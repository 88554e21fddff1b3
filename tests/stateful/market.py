"""The liquidity room beside its models: the pool's world with a pair, an exit reserve, a gauge and the adapters.

Everything here has a model of its own and is compared after every transaction: the contracts' words, what changed in
their mappings, and their ETH. `check_all` compares whatever is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from eth_abi.abi import encode as abi_encode

from floe.model import Permit, Signature
from floe.model.basics import ETHER, ZERO, Address, Revert, ceil_div
from floe.model.erc20 import Erc20
from floe.model.exit_reserve import ReserveParameters
from floe.model.gauge import Carry, Stream
from floe.model.stable_pair import Fees
from floe.model.tokens import Allowances, Roles
from tests.stateful.actions import CALLS, TOKEN_NAMES, sign_permit
from tests.stateful.invariants import NEVER_TAKES_ETHER
from tests.stateful.world import (
    ADDRESS_WORD,
    ADMIN,
    GAS,
    NAMES,
    OPERATOR,
    OUTSIDER,
    POOL,
    QUEUE,
    REENTERER,
    REFUSING,
    REGISTRY,
    ROLE_IDS,
    TOKEN,
    TREASURER,
    WEALTH,
    Call,
    Compiled,
    MappingSlots,
    Mismatch,
    World,
    account_of,
    created,
    encode_answer,
    reason_of,
    slots,
)

MARKET_DEPLOYER = account_of("market deployer")
WETH, REWARD, RESERVE, PAIR, GAUGE, VAULT, ZAP, FEED = (created(nonce, MARKET_DEPLOYER) for nonce in range(8))
MARKET_CONTRACTS = ("WETH9", "MockToken", "ExitReserve", "StablePair", "Gauge", "WethVault", "Zap", "RateProvider")
"""In the order of their deployment."""
PLACES: dict[Address, str] = {
    WETH: "weth", REWARD: "reward token", RESERVE: "reserve", PAIR: "pair", GAUGE: "gauge", VAULT: "WETH vault",
    ZAP: "zap", FEED: "feed",
}  # fmt: skip
NAMES |= {**PLACES, MARKET_DEPLOYER: "market deployer"}
ADDRESS_WORD |= {account: bytes(12) + bytes.fromhex(account[2:]) for account in (*PLACES, MARKET_DEPLOYER)}
REFUSING.update(PLACES)
NEVER_TAKES_ETHER.update(PLACES.keys() - {WETH})
ADMINISTERED = (RESERVE, PAIR, GAUGE)
"""They have roles."""
TOKEN_NAMES |= {PAIR: "Floe ETH pair", RESERVE: "Floe exit reserve", VAULT: "Floe ETH for WETH"}
WITH_PERMIT = (PAIR, RESERVE, VAULT)
TOKENS = (*WITH_PERMIT, WETH, REWARD)
"""ERC-20s that the pool does not know."""
REWARDS: list[Address] = [POOL, WETH, REWARD]
"""What can be earned in the gauge."""

OTHER_CONTRACTS: list[Address] = [QUEUE, TOKEN, ADMIN, REGISTRY, REENTERER]

FEES = Fees(400, 50_000, 200_000)
AMPLIFICATION = 20_000
RESERVE_PARAMETERS = ReserveParameters(500, 20_000, 1_000 * ETHER, False, ETHER // 10)


PREVIEWS = [
    (PAIR, "buy", "preview_buy(uint256)", True, 0),
    (PAIR, "sell", "preview_sell(uint256)", False, 1),
    (PAIR, "add_liquidity", "preview_add(uint256,uint256)", True, 1),
    (PAIR, "remove_liquidity", "preview_remove(uint256)", False, 1),
    (PAIR, "remove_one", "preview_remove_one(uint256,bool)", False, 2),
    (RESERVE, "sell", "preview_sell(uint256)", False, 1),
    (RESERVE, "sell_ticket", "preview_sell_ticket(uint256)", False, 1),
    (RESERVE, "stake", "preview_stake(uint256)", True, 0),
    *(
        (place, name, f"preview{name.capitalize()}(uint256)", False, 1)
        for place in (RESERVE, VAULT)
        for name in ("deposit", "mint", "withdraw", "redeem")
    ),
]
"""Contract and function, its preview, whether that gets the ETH of the call, and how many of its arguments."""

SILENT, DENY, FEE, BURN, REVERT, REFUSE_QUIETLY = 1, 2, 3, 4, 5, 10
"""What the reward token may do at a transfer instead of the standard (contracts/mocks/MockToken.vy)."""


@dataclass(slots=True)
class FickleToken(Erc20):
    """The model of that token."""

    conduct: int = 0

    def approve(self, sender: Address, spender: Address, amount: int) -> bool:
        """Let `spender` move up to `amount`."""
        return self.allowances.approve(sender, spender, amount)

    def transfer(self, sender: Address, receiver: Address, amount: int) -> bool:
        """Move `amount`, or do what it was told."""
        if self.conduct in (DENY, BURN, REVERT):
            raise Revert({DENY: "token: transfer failed", BURN: "", REVERT: "token: reverts"}[self.conduct])
        if self.conduct == REFUSE_QUIETLY:
            return True
        if self.balances.get(sender, 0) < amount:
            raise Revert("")
        fee = ceil_div(amount, 100) if self.conduct == FEE else 0
        self._move(sender, receiver, amount)
        self.balances[receiver] -= fee
        return True

    def transfer_from(self, sender: Address, owner: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` out of the caller's allowance, or do what it was told."""
        if self.allowances.amounts.get((owner, sender), 0) < amount:
            raise Revert("")
        self.spend(owner, sender, amount)
        return self.transfer(owner, receiver, amount)


class Book(NamedTuple):
    """A mapping of a contract, beside the model's."""

    what: str
    contract: Address
    slots: MappingSlots
    model: Callable[[], dict[Any, Any]]
    word_of: Callable[[Any], int] | None = int
    """Packs a value; None: it is a tuple of words."""


class MarketWorld(World):
    """A world whose pool has a market."""

    ready = False

    def __init__(self, artifacts: Mapping[str, Compiled]) -> None:
        super().__init__(artifacts)
        self._deploy_market(artifacts)
        m = self.model
        self.weth, self.reward = m.add_weth(WETH), FickleToken(self.chain, REWARD, Allowances(self.chain, REWARD))
        m._keep(self.reward, self.reward.allowances)
        self.chain.ether |= dict.fromkeys(PLACES, 0)
        self.reserve = m.add_exit_reserve(RESERVE, ADMIN, RESERVE_PARAMETERS)
        self.pair = m.add_stable_pair(PAIR, ADMIN, TREASURER, FEES, AMPLIFICATION)
        self.gauge = m.add_gauge(GAUGE, PAIR, ADMIN)
        # Others with code, which nobody notifies.
        m.tokens |= dict.fromkeys((REWARD, *OTHER_CONTRACTS), self.reward)
        self.vault = m.add_weth_vault(VAULT, self.weth)
        self.zap = m.add_zap(ZAP, self.pair, self.reserve, self.token, self.weth)
        for account in PLACES:
            # Without onERC721Received the call ends in `__default__`, where there is one.
            reason = "" if account in (WETH, REWARD, GAUGE, FEED) else "ether: not like this"
            self.chain.on_ticket[account] = lambda *_, reason=reason: _refuse(reason)
        for account in (REWARD, GAUGE, FEED, PAIR, QUEUE):
            self.chain.on_ether[account] = lambda *_: False
        self.chain.on_ether[WETH] = self._wrap
        self._look_up_market(artifacts)
        self.ready = True
        self.keep()
        self.check_all()

    def _wrap(self, sender: Address, amount: int, _: int | None) -> bool:
        """Plain ETH that a contract sends to WETH is wrapped for it."""
        self.weth.mint(sender, amount)
        return True

    # --- set-up ---

    def _deploy_market(self, artifacts: Mapping[str, Compiled]) -> None:
        plan: list[tuple[Address, str, list[str], list[Any]]] = [
            (WETH, "WETH9", [], []),
            (REWARD, "MockToken", [], []),
            (RESERVE, "ExitReserve", ["address", "address", _PARAMETERS], [POOL, ADMIN, tuple(RESERVE_PARAMETERS)]),
            (
                PAIR,
                "StablePair",
                ["address"] * 3 + ["uint256"] * 4,
                [POOL, ADMIN, TREASURER, *FEES, AMPLIFICATION],
            ),
            (GAUGE, "Gauge", ["address"] * 2, [PAIR, ADMIN]),
            (VAULT, "WethVault", ["address"] * 2, [POOL, WETH]),
            (ZAP, "Zap", ["address"] * 5, [POOL, WETH, TOKEN, RESERVE, PAIR]),
            (FEED, "RateProvider", ["address"], [POOL]),
        ]
        self.evm.set_balance(MARKET_DEPLOYER, WEALTH)
        for account, name, types, arguments in plan:
            deployed = self.evm.deploy(MARKET_DEPLOYER, artifacts[name].initcode + abi_encode(types, arguments))
            self.evm.reset_transient_storage()
            if deployed.lower() != account:
                raise Mismatch(f"{name} is at {deployed}, expected {account}")

    def _look_up_market(self, artifacts: Mapping[str, Compiled]) -> None:
        places = dict(zip(PLACES, MARKET_CONTRACTS, strict=True))
        self.selectors = {
            place: {text: int(number, 16).to_bytes(4, "big") for text, number in artifacts[name].method_ids.items()}
            for place, name in places.items()
        }
        found = {place: slots(artifacts[name]) for place, name in places.items()}
        self.found = found
        self.previews = {
            (place, self.selectors[place][text]): (self.selectors[place][preview], with_value, words)
            for place, name, preview, with_value, words in PREVIEWS
            for text in self.selectors[place]
            if text.startswith(f"{name}(")
        }
        """By contract and selector of a call: its preview, whether that gets the value, and how many arguments."""
        self.erc20s: dict[Address, Erc20] = {
            PAIR: self.pair.erc20, RESERVE: self.reserve.erc20, VAULT: self.vault.erc20, WETH: self.weth,
            REWARD: self.reward,
        }  # fmt: skip
        self.books = [Book("shares", POOL, self.balance_slots, lambda: self.pool.balances)]
        for place, token in self.erc20s.items():
            allowances = token.allowances
            self.books += [
                Book("balance", place, MappingSlots(found[place]["balanceOf"]), partial(getattr, token, "balances")),
                Book(
                    "allowance", place, MappingSlots(found[place]["allowance"]), partial(getattr, allowances, "amounts")
                ),
            ]
            if place in WITH_PERMIT:
                nonces = MappingSlots(found[place]["nonces"])
                self.books.append(Book("nonce", place, nonces, partial(getattr, allowances, "nonces")))
        gauge, receivers = found[GAUGE], MappingSlots(found[VAULT]["receiver_of"])
        self.books += [
            Book("stake", GAUGE, MappingSlots(gauge["staked"]), lambda: self.gauge.staked),
            Book("distributor", GAUGE, MappingSlots(gauge["distributors"]), lambda: self.gauge.distributors, _number),
            Book("stream", GAUGE, MappingSlots(gauge["streams"]), lambda: self.gauge.streams, _stream_word),
            Book("carry", GAUGE, MappingSlots(gauge["carries"]), lambda: self.gauge.carries, _carry_word),
            Book("sum", GAUGE, MappingSlots(gauge["per_staked"]), lambda: self.gauge.per_staked),
            Book("account", GAUGE, MappingSlots(gauge["accounts"]), lambda: self.gauge.accounts, None),
            Book("fresh", PAIR, MappingSlots(found[PAIR]["minted"]), lambda: self.pair.minted, _fresh_word),
            Book("receiver", VAULT, receivers, lambda: self.vault.receiver_of, _number),
        ]
        names = {
            PAIR: ("books", "past", "live", "fee_receiver", "totalSupply"),
            RESERVE: ("liquid", "away", "live", "entries", "totalSupply"),
            GAUGE: ("total_staked", "tokens"),
            VAULT: ("totalSupply",),
            REWARD: ("totalSupply",),
        }
        self.word_places = {(place, name): found[place][name] for place, list_ in names.items() for name in list_}
        self.forget()

    def forget(self) -> None:
        """Compare everything the next time."""
        self.known: list[dict[Any, Any]] = [{} for _ in self.books]
        """What the books said when they were last compared."""
        self.known_words: dict[tuple[Address, int], int] = {}
        """The same of all that is no mapping."""

    # --- transactions ---

    def run(self, call: Call) -> str | None:
        """Make a call on both sides; a preview, asked before, must say what comes out."""
        preview = self._preview(call)
        if preview is None:
            return super().run(call)
        said: list[bytes] = []

        def noting(*arguments: Any) -> Any:
            answer = call[4](*arguments)
            said.append(encode_answer(answer))
            return answer

        try:
            promised = self.ask(call[1], preview)
        except RuntimeError as error:
            promised = reason_of(error).encode()
        reason = super().run((*call[:4], noting, *call[5:]))
        if reason is None and promised != said[0]:
            raise Mismatch(f"the preview said 0x{promised.hex()}, the call 0x{said[0].hex()}")
        return reason

    def ask(self, target: Address, data: bytes) -> bytes:
        """Ask a view."""
        try:
            return self.evm.message_call(OUTSIDER, target, data, 0, GAS, None, True)
        finally:
            self.evm.reset_transient_storage()

    def _preview(self, call: Call) -> bytes | None:
        """Calldata of the preview of a call: of one in four that have one."""
        data = call[2]
        found = self.previews.get((call[1], data[:4]))
        if found is None or data[-1] & 3:
            return None
        selector, with_value, words = found
        return selector + (_u(call[3]) if with_value else b"") + data[4 : 4 + 32 * words]

    # --- comparison ---

    def check(self, target: Address, accounts: tuple[Address, ...], tickets: tuple[int, ...]) -> None:
        """Compare the market as well: all words, and what changed in mappings since they were last compared."""
        super().check(target, accounts, tickets)
        if self.ready:
            self._check_words()
            self._check_books()

    def check_all(self) -> None:
        """Compare everything stored."""
        if self.ready:
            self.forget()
        super().check_all()
        if self.ready:
            self._check_roles()

    def _check_words(self) -> None:
        """Compare all that is not a mapping."""
        storage = self._storage
        words = self.market_words()
        if words != self.known_words:
            for (contract, slot), word in words.items():
                if self.known_words.get((contract, slot)) != word and (got := storage(contract, slot)) != word:
                    raise Mismatch(f"slot {slot:#x} of the {NAMES[contract]} differs: {got:#x}, model {word:#x}")
            self.known_words = words

    def market_words(self) -> dict[tuple[Address, int], int]:
        """Words of the room by contract and slot, as the models have them."""
        pair, reserve, gauge, places = self.pair, self.reserve, self.gauge, self.word_places
        tickets = [t.ticket | t.start << 64 | t.end << 160 for t in reserve.tickets]
        entries, tokens = places[RESERVE, "entries"], places[GAUGE, "tokens"]
        books, past, live = pair.words()
        liquid, away, terms = reserve.words()
        words = {
            (PAIR, places[PAIR, "books"]): books,
            (PAIR, places[PAIR, "past"]): past,
            (PAIR, places[PAIR, "live"]): live,
            (PAIR, places[PAIR, "fee_receiver"]): int(pair.fee_receiver, 16),
            (PAIR, places[PAIR, "totalSupply"]): pair.erc20.supply,
            (RESERVE, places[RESERVE, "liquid"]): liquid,
            (RESERVE, places[RESERVE, "away"]): away,
            (RESERVE, places[RESERVE, "live"]): terms,
            (RESERVE, places[RESERVE, "totalSupply"]): reserve.erc20.supply,
            (RESERVE, entries): len(tickets),
            (GAUGE, places[GAUGE, "total_staked"]): gauge.total_staked,
            (GAUGE, tokens): len(gauge.tokens),
            (VAULT, places[VAULT, "totalSupply"]): self.vault.erc20.supply,
            (REWARD, places[REWARD, "totalSupply"]): self.reward.supply,
        }  # fmt: skip
        words |= {(RESERVE, entries + 1 + k): word for k, word in enumerate(tickets)}
        words |= {(GAUGE, tokens + 1 + k): int(token, 16) for k, token in enumerate(gauge.tokens)}
        return words

    def _check_books(self) -> None:
        storage = self._storage
        for position, (what, contract, places, model, word_of) in enumerate(self.books):
            now, known = model(), self.known[position]
            if now == known:
                continue
            for key, value in now.items():
                if known.get(key) == value:
                    continue
                slot = places[key]
                for k, word in enumerate(value if word_of is None else [word_of(value)]):
                    if (got := storage(contract, slot + k)) != word:
                        raise Mismatch(f"{what} at the {NAMES[contract]} of {_named(key)} differs: {got}, model {word}")
            self.known[position] = dict(now)
        for account in PLACES:
            if self._balance(account) != self.chain.ether[account]:
                self._explain_ether()

    def _check_roles(self) -> None:
        for place in ADMINISTERED:
            members = roles_of(self, place).members
            roles = MappingSlots(self.found[place]["hasRole"])
            for account in (ADMIN, OPERATOR, OUTSIDER, MARKET_DEPLOYER):
                if self._storage(place, roles[ROLE_IDS["admin"], account]) != (("admin", account) in members):
                    raise Mismatch(f"role admin at the {NAMES[place]} of {NAMES[account]} differs")


def _number(account: Address) -> int:
    return int(account, 16)


def _fresh_word(minted: tuple[int, int]) -> int:
    at, amount = minted
    return amount << 64 | at


def _stream_word(stream: Stream) -> int:
    return stream.amount | stream.start << 96 | stream.end << 136 | stream.period << 176


def _carry_word(carry: Carry) -> int:
    return carry.rest | carry.idle << 120 | carry.last << 216


def _refuse(reason: str) -> bool:
    raise Revert(reason)


def _named(key: Any) -> str:
    return ", ".join(NAMES.get(part, str(part)) for part in (key if isinstance(key, tuple) else (key,)))


# --- transactions ---


def _u(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    return b"".join([ADDRESS_WORD[part] if isinstance(part, str) else _u(part) for part in arguments])


def _call(
    w: MarketWorld,
    sender: Address,
    target: Address,
    signature: str,
    arguments: tuple[Any, ...],
    method: Callable[..., Any],
    *also: Any,
    value: int | None = None,
) -> Call:
    """Call `signature` with `arguments`; the model gets them after the sender and the value, and `also` last."""
    data = w.selectors[target][signature] + _encoded(arguments)
    paid = () if value is None else (value,)
    return sender, target, data, value or 0, w.whole(method), (sender, *paid, *arguments, *also), (), (), ()


_WORD = {int: "uint256", str: "address", bool: "bool"}


def _types(name: str, arguments: tuple[Any, ...]) -> str:
    return f"{name}({','.join([_WORD[part.__class__] for part in arguments])})"


def _some(
    w: MarketWorld,
    sender: Address,
    target: Address,
    name: str,
    given: tuple[Any, ...],
    most: tuple[Any, ...],
    method: Callable[..., Any],
    value: int | None = None,
) -> Call:
    """Call with the first arguments `given`; the model gets all, with the defaults `most` for those left out."""
    return _call(w, sender, target, _types(name, given), given, method, *most, value=value)


# --- the pair ---


def pair_buy(w: MarketWorld, sender: Address, value: int, least: int, *receiver: Address) -> Call:
    given = (least, *receiver)
    return _some(w, sender, PAIR, "buy", given, () if receiver else (sender,), w.pair.buy, value)


def pair_sell(w: MarketWorld, sender: Address, shares: int, least: int, *receiver: Address) -> Call:
    given = (shares, least, *receiver)
    return _some(w, sender, PAIR, "sell", given, () if receiver else (sender,), w.pair.sell)


def pair_add(w: MarketWorld, sender: Address, value: int, shares: int, least: int, *receiver: Address) -> Call:
    given = (shares, least, *receiver)
    return _some(w, sender, PAIR, "add_liquidity", given, () if receiver else (sender,), w.pair.add_liquidity, value)


def pair_remove(
    w: MarketWorld, sender: Address, liquidity: int, least_ether: int, least_shares: int, *receiver: Address
) -> Call:
    given = (liquidity, least_ether, least_shares, *receiver)
    return _some(w, sender, PAIR, "remove_liquidity", given, () if receiver else (sender,), w.pair.remove_liquidity)


def pair_remove_one(
    w: MarketWorld, sender: Address, liquidity: int, of_ether: bool, least: int, *receiver: Address
) -> Call:
    given = (liquidity, bool(of_ether), least, *receiver)
    return _some(w, sender, PAIR, "remove_one", given, () if receiver else (sender,), w.pair.remove_one)


def pair_collect(w: MarketWorld, sender: Address) -> Call:
    return _call(w, sender, PAIR, "collect()", (), w.pair.collect)


def pair_ramp(w: MarketWorld, sender: Address, a_to: int, end: int) -> Call:
    return _call(w, sender, PAIR, "ramp(uint256,uint256)", (a_to, end), w.pair.ramp)


def pair_stop_ramp(w: MarketWorld, sender: Address) -> Call:
    return _call(w, sender, PAIR, "stop_ramp()", (), w.pair.stop_ramp)


def pair_set_fees(w: MarketWorld, sender: Address, fee: int, off_peg: int, admin_ppm: int) -> Call:
    def method(sender: Address, *numbers: int) -> None:
        w.pair.set_fees(sender, Fees(*numbers))

    return _call(w, sender, PAIR, "set_fees(uint256,uint256,uint256)", (fee, off_peg, admin_ppm), method)


def pair_set_fee_receiver(w: MarketWorld, sender: Address, receiver: Address) -> Call:
    return _call(w, sender, PAIR, "set_fee_receiver(address)", (receiver,), w.pair.set_fee_receiver)


# --- the exit reserve ---


def reserve_sell(w: MarketWorld, sender: Address, shares: int, least: int, *receiver: Address) -> Call:
    given = (shares, least, *receiver)
    return _some(w, sender, RESERVE, "sell", given, () if receiver else (sender,), w.reserve.sell)


def reserve_sell_ticket(w: MarketWorld, sender: Address, ticket: int, least: int, *more: Any) -> Call:
    """`more` is nothing, the receiver, or he and the hint."""
    return _some(
        w, sender, RESERVE, "sell_ticket", (ticket, least, *more), (sender, 0)[len(more) :], w.reserve.sell_ticket
    )


def reserve_queue(w: MarketWorld, sender: Address) -> Call:
    call = _call(w, sender, RESERVE, "queue_exits()", (), w.reserve.queue_exits)
    return (*call[:7], (len(w.queue.ends),), ())


def reserve_claim(w: MarketWorld, sender: Address, index: int, *hint: int) -> Call:
    return _some(w, sender, RESERVE, "claim", (index, *hint), (0,)[len(hint) :], w.reserve.claim)


def reserve_stake(w: MarketWorld, sender: Address, value: int, *more: Any) -> Call:
    """`more` is nothing, the receiver, he and the least shares, or they and the referral."""
    given, rest = more, (sender, 0, ZERO)[len(more) :]
    return _some(w, sender, RESERVE, "stake", given, rest, w.reserve.stake, value)


def reserve_deposit(w: MarketWorld, sender: Address, value: int, assets: int, receiver: Address, *least: int) -> Call:
    given = (assets, receiver, *least)
    return _some(w, sender, RESERVE, "deposit", given, (), w.reserve.deposit, value)


def reserve_mint(w: MarketWorld, sender: Address, value: int, shares: int, receiver: Address) -> Call:
    return _some(w, sender, RESERVE, "mint", (shares, receiver), (), w.reserve.mint, value)


def reserve_withdraw(
    w: MarketWorld, sender: Address, assets: int, receiver: Address, owner: Address, *most: int
) -> Call:
    return _some(w, sender, RESERVE, "withdraw", (assets, receiver, owner, *most), (), w.reserve.withdraw)


def reserve_redeem(
    w: MarketWorld, sender: Address, shares: int, receiver: Address, owner: Address, *least: int
) -> Call:
    return _some(w, sender, RESERVE, "redeem", (shares, receiver, owner, *least), (), w.reserve.redeem)


_PARAMETERS = "(uint256,uint256,uint256,bool,uint256)"


def reserve_set_parameters(
    w: MarketWorld, sender: Address, fee_min: int, fee_max: int, target: int, of_value: bool, min_ticket: int
) -> Call:
    def method(sender: Address, *fields: Any) -> None:
        w.reserve.set_parameters(sender, ReserveParameters(*fields))

    fields = (fee_min, fee_max, target, bool(of_value), min_ticket)
    return _call(w, sender, RESERVE, f"set_parameters({_PARAMETERS})", fields, method)


# --- the gauge ---


def gauge_stake(w: MarketWorld, sender: Address, amount: int, *receiver: Address) -> Call:
    return _some(w, sender, GAUGE, "stake", (amount, *receiver), () if receiver else (sender,), w.gauge.stake)


def gauge_withdraw(w: MarketWorld, sender: Address, amount: int, *receiver: Address) -> Call:
    return _some(w, sender, GAUGE, "withdraw", (amount, *receiver), () if receiver else (sender,), w.gauge.withdraw)


def gauge_emergency_exit(w: MarketWorld, sender: Address) -> Call:
    return _call(w, sender, GAUGE, "emergency_exit()", (), w.gauge.emergency_exit)


def gauge_claim(w: MarketWorld, sender: Address, account: Address, token: Address) -> Call:
    return _call(w, sender, GAUGE, "claim(address,address)", (account, token), w.gauge.claim)


def gauge_claim_to(w: MarketWorld, sender: Address, token: Address, receiver: Address) -> Call:
    return _call(w, sender, GAUGE, "claim_to(address,address)", (token, receiver), w.gauge.claim_to)


def gauge_claim_all(w: MarketWorld, sender: Address, account: Address) -> Call:
    return _call(w, sender, GAUGE, "claim_all(address)", (account,), w.gauge.claim_all)


def gauge_notify(w: MarketWorld, sender: Address, token: Address, amount: int) -> Call:
    return _call(w, sender, GAUGE, "notify(address,uint256)", (token, amount), w.gauge.notify)


def gauge_add_reward(w: MarketWorld, sender: Address, token: Address, distributor: Address, period: int) -> Call:
    signature = "add_reward(address,address,uint256)"
    return _call(w, sender, GAUGE, signature, (token, distributor, period), w.gauge.add_reward)


def gauge_set_distributor(w: MarketWorld, sender: Address, token: Address, distributor: Address) -> Call:
    return _call(w, sender, GAUGE, "set_distributor(address,address)", (token, distributor), w.gauge.set_distributor)


# --- the adapters ---


def vault_deposit(w: MarketWorld, sender: Address, assets: int, receiver: Address, *least: int) -> Call:
    return _some(w, sender, VAULT, "deposit", (assets, receiver, *least), (), w.vault.deposit)


def vault_mint(w: MarketWorld, sender: Address, shares: int, receiver: Address) -> Call:
    return _some(w, sender, VAULT, "mint", (shares, receiver), (), w.vault.mint)


def vault_withdraw(w: MarketWorld, sender: Address, assets: int, receiver: Address, owner: Address, *most: int) -> Call:
    return _some(w, sender, VAULT, "withdraw", (assets, receiver, owner, *most), (), w.vault.withdraw)


def vault_redeem(w: MarketWorld, sender: Address, shares: int, receiver: Address, owner: Address, *least: int) -> Call:
    return _some(w, sender, VAULT, "redeem", (shares, receiver, owner, *least), (), w.vault.redeem)


def vault_request_exit(w: MarketWorld, sender: Address, shares: int, receiver: Address, owner: Address) -> Call:
    call = _some(w, sender, VAULT, "request_exit", (shares, receiver, owner), (), w.vault.request_exit)
    return (*call[:7], (len(w.queue.ends),), ())


def vault_claim(w: MarketWorld, sender: Address, ticket: int, *hint: int) -> Call:
    return _some(w, sender, VAULT, "claim", (ticket, *hint), (0,)[len(hint) :], w.vault.claim)


def zap(
    w: MarketWorld, sender: Address, value: int, into: int, weth_amount: int, least: int, receiver: Address
) -> Call:
    """`into` is FLOETH 1, RFLOETH 2, LIQUIDITY 4; what has other bits is refused before it is looked at."""
    arguments = (into, weth_amount, least, receiver)
    method = w.zap.zap if into < 8 else lambda *_: _refuse("")
    return _call(w, sender, ZAP, "zap(uint256,uint256,uint256,address)", arguments, method, value=value)


def reward_mint(w: MarketWorld, sender: Address, receiver: Address, amount: int) -> Call:
    return _call(w, sender, REWARD, "mint(address,uint256)", (receiver, amount), lambda _, *more: w.reward.mint(*more))


def reward_behave(w: MarketWorld, sender: Address, conduct: int) -> Call:
    def method(_: Address, conduct: int) -> None:
        w.reward.conduct = conduct

    return _call(w, sender, REWARD, "behave(uint256)", (conduct,), method)


def weth_deposit(w: MarketWorld, sender: Address, value: int) -> Call:
    return _call(w, sender, WETH, "deposit()", (), w.weth.deposit, value=value)


def weth_withdraw(w: MarketWorld, sender: Address, amount: int) -> Call:
    return _call(w, sender, WETH, "withdraw(uint256)", (amount,), w.weth.withdraw)


def market_ether(w: MarketWorld, sender: Address, value: int, target: Address) -> Call:
    """Plain ETH: WETH wraps it, the others refuse it."""

    def method(sender: Address, value: int) -> None:
        if target == WETH:
            w.weth.deposit(sender, value)
        else:
            locked = target == PAIR and w.pair.entered
            raise Revert("" if locked or target in (GAUGE, REWARD, FEED) else "ether: not like this")

    return sender, target, b"", value, w.whole(method), (sender, value), (), (), ()


def feed_round(w: MarketWorld, sender: Address, number: int) -> Call:
    """Ask the feed for a round: there is only the latest."""

    def method(_: Address, number: int) -> tuple[int, ...]:
        at = w.pool.report_at
        if number != at:
            raise Revert("feed: no such round")
        return at, w.pool.exit_rate(), at, at, at

    return _call(w, sender, FEED, "getRoundData(uint80)", (number,), method)


# --- their tokens and roles ---


def _moving(w: MarketWorld, token: Address, name: str) -> Callable[..., Any]:
    """Return a token's method as its caller sees it: one that fails may say so in its answer, or say nothing."""
    movers: dict[Address, Any] = {RESERVE: w.reserve, PAIR: w.pair}
    method: Callable[..., Any] = getattr(movers.get(token, w.erc20s[token]), name)
    if token != REWARD or w.reward.conduct not in (DENY, SILENT):
        return method

    def answering(*arguments: Any) -> Any:
        w.reward.conduct, conduct = 0 if w.reward.conduct == SILENT else REFUSE_QUIETLY, w.reward.conduct
        try:
            method(*arguments)
        finally:
            w.reward.conduct = conduct
        return None if conduct == SILENT else False

    return answering


def market_transfer(w: MarketWorld, sender: Address, token: Address, receiver: Address, amount: int) -> Call:
    arguments = (receiver, amount)
    return _call(w, sender, token, "transfer(address,uint256)", arguments, _moving(w, token, "transfer"))


def market_transfer_from(
    w: MarketWorld, sender: Address, token: Address, owner: Address, receiver: Address, amount: int
) -> Call:
    signature = "transferFrom(address,address,uint256)"
    return _call(w, sender, token, signature, (owner, receiver, amount), _moving(w, token, "transfer_from"))


def market_approve(w: MarketWorld, sender: Address, token: Address, spender: Address, amount: int) -> Call:
    return _call(w, sender, token, "approve(address,uint256)", (spender, amount), w.erc20s[token].approve)


def market_permit(
    w: MarketWorld,
    sender: Address,
    token: Address,
    owner: Address,
    spender: Address,
    amount: int,
    deadline: int,
    signer: Address,
    nonce: int,
    form: str,
) -> Call:
    """`signer` signed what is sent, with `nonce`."""
    signed = Permit(token, owner, spender, amount, nonce, deadline)
    signature = Signature(signer, signed, high_s=form == "high s", valid=form != "invalid")
    data = w.selectors[token]["permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"]
    data += _encoded((owner, spender, amount, deadline)) + sign_permit(signer, signed, form)
    arguments = (owner, spender, amount, deadline, signature)
    return sender, token, data, 0, w.whole(w.erc20s[token].permit), arguments, (), (), ()


def roles_of(w: MarketWorld, place: Address) -> Roles:
    """Return the roles of a contract of the room."""
    return {RESERVE: w.reserve.roles, PAIR: w.pair.roles, GAUGE: w.gauge.roles}[place]


def market_role(w: MarketWorld, sender: Address, place: Address, how: str, account: Address) -> Call:
    """`how` is "grant" or "revoke"; the role is the admin's."""
    roles = roles_of(w, place)
    data = w.selectors[place][f"{how}Role(bytes32,address)"] + ROLE_IDS["admin"] + ADDRESS_WORD[account]
    return sender, place, data, 0, w.whole(getattr(roles, how)), (sender, "admin", account), (), (), ()


MARKET_CALLS = {
    function.__name__: function
    for function in (
        pair_buy, pair_sell, pair_add, pair_remove, pair_remove_one, pair_collect, pair_ramp, pair_stop_ramp,
        pair_set_fees, pair_set_fee_receiver, reserve_sell, reserve_sell_ticket, reserve_queue, reserve_claim,
        reserve_stake, reserve_deposit, reserve_mint, reserve_withdraw, reserve_redeem, reserve_set_parameters,
        gauge_stake, gauge_withdraw, gauge_emergency_exit, gauge_claim, gauge_claim_to, gauge_claim_all, gauge_notify,
        gauge_add_reward, gauge_set_distributor, vault_deposit, vault_mint, vault_withdraw, vault_redeem,
        vault_request_exit, vault_claim, zap, reward_mint, reward_behave, weth_deposit, weth_withdraw, market_ether,
        market_transfer, feed_round, market_transfer_from, market_approve, market_permit, market_role,
    )
}  # fmt: skip
CALLS |= MARKET_CALLS
