"""The views of all contracts against the model, asked at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from floe.model.basics import DAY, UNLIMITED, ZERO, Address, Revert
from floe.model.oracle import FrameReport
from floe.model.registry import Operator, Validator
from tests.stateful.choices import Choices
from tests.stateful.market import FEED, GAUGE, PAIR, RESERVE, REWARDS, TOKENS, VAULT, WETH, WITH_PERMIT, MarketWorld
from tests.stateful.oracle import DIGEST, PREVIEW
from tests.stateful.validators import VALIDATOR_REGISTRY, ValidatorWorld
from tests.stateful.world import (
    ADDRESS_WORD,
    BEACON,
    GAS,
    NAMES,
    ORACLE_ROLE_IDS,
    OUTSIDER,
    POOL,
    QUEUE,
    REPORT_ORACLE,
    ROLE_IDS,
    TOKEN,
    WITHDRAWAL_VAULT,
    Mismatch,
    World,
    digest_of,
    encode_answer,
    encode_report,
    reason_of,
)

Question = tuple[Address, str, bytes, Callable[[], Any]]
"""Contract, signature, encoded arguments, and the model's answer."""


def _number(address: Address) -> int:
    return int(address, 16)


def _of_account(c: Choices, w: World) -> list[Question]:
    """Ask about one account."""
    account = c.pick(list(ADDRESS_WORD))
    word, pool, queue, token = ADDRESS_WORD[account], w.pool, w.queue, w.token

    def tickets_held() -> int:
        if account == ZERO:
            raise Revert("receiver: refused")
        return queue.held.get(account, 0)

    return [
        (POOL, "maxDeposit(address)", word, lambda: pool.max_deposit(account)),
        (POOL, "maxMint(address)", word, lambda: pool.max_mint(account)),
        (POOL, "maxRedeem(address)", word, lambda: pool.max_redeem(account)),
        (POOL, "maxWithdraw(address)", word, lambda: pool.max_withdraw(account)),
        (POOL, "balanceOf(address)", word, lambda: pool.balance_of(account)),
        (POOL, "nonces(address)", word, lambda: pool.allowances.nonces.get(account, 0)),
        (QUEUE, "balanceOf(address)", word, tickets_held),
        (TOKEN, "balanceOf(address)", word, lambda: token.balance_of(account)),
        (TOKEN, "shares_of(address)", word, lambda: token.shares_of.get(account, 0)),
        (TOKEN, "nonces(address)", word, lambda: token.allowances.nonces.get(account, 0)),
    ]


def _of_pair(c: Choices, w: World) -> list[Question]:
    """Ask about two accounts, or of a role and an account."""
    owner, spender = c.holder(), c.pick(list(ADDRESS_WORD))
    role = c.pick(list(ROLE_IDS))
    words = ADDRESS_WORD[owner] + ADDRESS_WORD[spender]
    return [
        (POOL, "allowance(address,address)", words, lambda: w.pool.allowances.amounts.get((owner, spender), 0)),
        (TOKEN, "allowance(address,address)", words, lambda: w.token.allowances.amounts.get((owner, spender), 0)),
        (QUEUE, "isApprovedForAll(address,address)", words, lambda: (owner, spender) in w.queue.operators),
        (
            POOL,
            "hasRole(bytes32,address)",
            ROLE_IDS[role] + ADDRESS_WORD[spender],
            lambda: (role, spender) in w.pool.roles.members,
        ),
    ]


def _of_amount(c: Choices, w: World) -> list[Question]:
    """Ask about one number."""
    pool = w.pool
    amount = c.amount(c.pick((pool.assets, pool.max_withdraw(c.holder()), pool.instant_allowance, pool.free())))
    word = amount.to_bytes(32, "big")
    return [
        (POOL, "convertToShares(uint256)", word, lambda: pool.convert_to_shares(amount)),
        (POOL, "convertToAssets(uint256)", word, lambda: pool.convert_to_assets(amount)),
        (POOL, "previewDeposit(uint256)", word, lambda: pool.convert_to_shares(amount)),
        (POOL, "previewMint(uint256)", word, lambda: pool.preview_mint(amount)),
        (POOL, "previewRedeem(uint256)", word, lambda: pool.preview_redeem(amount)),
        (POOL, "previewWithdraw(uint256)", word, lambda: pool.preview_withdraw(amount)),
    ]


def _of_pool(_: Choices, w: World) -> list[Question]:
    """Ask about everything at once."""
    pool, queue, token = w.pool, w.queue, w.token
    answers: dict[tuple[Address, str], Callable[[], Any]] = {
        (POOL, "totalAssets()"): pool.entry_value,
        (POOL, "totalSupply()"): lambda: pool.shares,
        (POOL, "entry_rate()"): pool.entry_rate,
        (POOL, "exit_rate()"): pool.exit_rate,
        (POOL, "entry_price()"): pool.entry_price,
        (POOL, "buffer()"): pool.buffer,
        (POOL, "stakeable()"): pool.stakeable,
        (POOL, "locked()"): pool.locked,
        (POOL, "pending_loss()"): lambda: pool.pending_loss,
        (POOL, "deficit()"): lambda: pool.deficit,
        (POOL, "outside()"): lambda: pool.outside,
        (POOL, "eligible()"): lambda: pool.eligible,
        (POOL, "state()"): pool.words,
        (POOL, "fee_recipient()"): lambda: _number(pool.fee_recipient),
        (QUEUE, "tail()"): queue.tail,
        (QUEUE, "filled()"): queue.filled,
        (QUEUE, "paid_in()"): lambda: queue.filled_ether[-1],
        (QUEUE, "points()"): lambda: len(queue.filled_shares) - 1,
        (QUEUE, "tickets()"): lambda: len(queue.ends) - 1,
        (TOKEN, "totalSupply()"): token.total_supply,
        (TOKEN, "total_shares()"): lambda: token.total_shares,
    }
    return [(contract, signature, b"", answer) for (contract, signature), answer in answers.items()]


def _of_ticket(c: Choices, w: World) -> list[Question]:
    """Ask about one ticket or point."""
    queue = w.queue
    ticket = c.payable_ticket()

    def existing(answer: Callable[[int], Any], known: bool = False) -> Any:
        if not (0 < ticket < len(queue.ends) if known else queue.exists(ticket)):
            raise Revert("ticket: does not exist")
        return answer(ticket)

    def point() -> tuple[int, int]:
        inside = ticket < len(queue.filled_shares)
        return (queue.filled_shares[ticket], queue.filled_ether[ticket]) if inside else (0, 0)

    word = ticket.to_bytes(32, "big")
    return [
        (QUEUE, "claimable(uint256)", word, lambda: queue.claimable(ticket)),
        (QUEUE, "pending(uint256)", word, lambda: queue.pending(ticket)),
        (QUEUE, "hint(uint256)", word, lambda: queue.hint(ticket)),
        (QUEUE, "interval(uint256)", word, lambda: existing(lambda t: (queue.ends[t - 1], queue.ends[t]), known=True)),
        (QUEUE, "claimed_until(uint256)", word, lambda: existing(queue.claimed_until)),
        (QUEUE, "ownerOf(uint256)", word, lambda: existing(lambda t: _number(queue.owners[t]))),
        (QUEUE, "getApproved(uint256)", word, lambda: existing(lambda t: _number(queue.approvals.get(t, ZERO)))),
        (QUEUE, "point(uint256)", word, point),
    ]


def _of_oracle(c: Choices, w: World) -> list[Question]:
    """Ask the oracle."""
    oracle = w.oracle
    held = oracle.held
    fields = list(held) if held and c.chance(20) else c._plain(c._slot(0))
    report = FrameReport(*(c._false(fields) if c.chance(20) else fields))
    place = c.pick((0, 1, 2, 4, 31))
    account, role = c.pick(list(ADDRESS_WORD)), c.pick(list(ORACLE_ROLE_IDS))

    def members() -> tuple[int, ...]:
        return 32, len(oracle.members), *map(_number, oracle.members)

    def vote() -> int:
        known = oracle.votes.get(place)
        return digest_of(known) if known else 0

    def pending() -> tuple[int, int]:
        known, deadline = oracle.pending()
        return digest_of(known) if known else 0, deadline

    me, word, role_word = REPORT_ORACLE, place.to_bytes(32, "big"), ORACLE_ROLE_IDS[role] + ADDRESS_WORD[account]
    return [
        (me, PREVIEW, encode_report(report), lambda: tuple(map(int, oracle.preview(report)))),
        (me, PREVIEW, encode_report(report), lambda: tuple(map(int, oracle.preview(report)))),
        (me, DIGEST, encode_report(report), lambda: digest_of(report)),
        (me, "headroom()", b"", oracle.headroom),
        (me, "last()", b"", oracle.last),
        (me, "pending()", b"", pending),
        (me, "parameters()", b"", lambda: tuple(oracle.parameters)),
        (me, "chain_constants()", b"", lambda: BEACON[:3]),
        (me, "members()", b"", members),
        (me, "quorum()", b"", lambda: oracle.quorum),
        (me, "votes(uint256)", word, vote),
        (me, "hasRole(bytes32,address)", role_word, lambda: (role, account) in oracle.roles.members),
    ]


def _of_registry(c: Choices, w: World) -> list[Question]:
    """Ask the registry and the withdrawal vault."""
    assert isinstance(w, ValidatorWorld)
    registry, vault = w.registry, w.pool.withdrawal_vault
    number = c.pick([*registry.operators, 0, len(registry.operators) + 1])
    key = c.pick([*registry.validators, bytes(32)])
    day = c.pick([*registry.eligible_on, w.chain.now // DAY, UNLIMITED])
    kind = c.pick((0, 1, 2, 3))
    word, day_word, kind_word = (n.to_bytes(32, "big") for n in (number, day, kind))
    v, o = registry.validators.get(key, Validator()), registry.operators.get(number, NOBODY)

    def operator() -> tuple[int, ...]:
        return _number(o.manager), o.weight, o.limit, o.open, _number(o.reward_address), o.bond, o.stake

    me = VALIDATOR_REGISTRY
    return [
        (me, "validator(bytes32)", key, lambda: tuple(map(int, v))),
        (me, "operator(uint256)", word, operator),
        (me, "quota(uint256)", word, lambda: registry.quota(number)),
        (me, "overdue(uint256)", day_word, lambda: registry.overdue(day)),
        (me, "eligible_on(uint256)", day_word, lambda: registry.eligible_on.get(day, 0)),
        (me, "missing()", b"", registry.missing),
        (me, "staked()", b"", lambda: registry.staked),
        (me, "under_way()", b"", lambda: registry.under_way),
        (me, "total_weight()", b"", lambda: registry.total_weight),
        (me, "operator_count()", b"", lambda: len(registry.operators)),
        (me, "parameters()", b"", lambda: tuple(registry.parameters)),
        (me, "credentials()", b"", lambda: int.from_bytes(registry.credentials, "big")),
        (WITHDRAWAL_VAULT, "fee(uint256)", kind_word, lambda: vault.fee(kind)),
        (
            WITHDRAWAL_VAULT,
            "system_contract(uint256)",
            kind_word,
            lambda: _number(vault.system_contracts.get(kind, ZERO)),
        ),
    ]


def _of_tokens(c: Choices, w: World) -> list[Question]:
    """Ask about holders of the room's tokens, and what their shares could be left with."""
    assert isinstance(w, MarketWorld)
    account, spender, token = c.pick(list(ADDRESS_WORD)), c.pick(list(ADDRESS_WORD)), c.pick(TOKENS)
    word, erc20, reserve, vault = ADDRESS_WORD[account], w.erc20s[token], w.reserve, w.vault
    words = word + ADDRESS_WORD[spender]
    questions: list[Question] = [
        (token, "balanceOf(address)", word, lambda: erc20.balance_of(account)),
        (token, "allowance(address,address)", words, lambda: erc20.allowances.amounts.get((account, spender), 0)),
        (GAUGE, "staked(address)", word, lambda: w.gauge.staked.get(account, 0)),
        *(
            (place, f"{name}(address)", word, lambda part=part, view=view: getattr(part, view)(account))
            for place, part in ((RESERVE, reserve), (VAULT, vault))
            for name, view in (
                ("maxDeposit", "max_deposit"),
                ("maxMint", "max_mint"),
                ("maxWithdraw", "max_withdraw"),
                ("maxRedeem", "max_redeem"),
            )
        ),
    ]
    if token in WITH_PERMIT:
        questions.append((token, "nonces(address)", word, lambda: erc20.allowances.nonces.get(account, 0)))
    if token != WETH:
        questions.append((token, "totalSupply()", b"", lambda: erc20.supply))
    return questions


def _of_prices(c: Choices, w: World) -> list[Question]:
    """Ask for prices of an amount."""
    assert isinstance(w, MarketWorld)
    pair, reserve, pool = w.pair, w.reserve, w.pool
    amount, other = (
        c.amount(c.pick((pair.eth, pair.floeth, reserve.books.cash, reserve.erc20.supply))),
        c.amount(pair.floeth),
    )
    word, flag, ticket = amount.to_bytes(32, "big"), c.bits(1), c.ticket()
    both, sided = word + other.to_bytes(32, "big"), word + flag.to_bytes(32, "big")
    return [
        (PAIR, "preview_buy(uint256)", word, lambda: pair.preview_buy(amount)),
        (PAIR, "preview_sell(uint256)", word, lambda: pair.preview_sell(amount)),
        (PAIR, "preview_add(uint256,uint256)", both, lambda: pair.preview_add(amount, other)),
        (PAIR, "preview_remove(uint256)", word, lambda: pair.preview_remove(amount)),
        (PAIR, "preview_remove_one(uint256,bool)", sided, lambda: pair.preview_remove_one(amount, bool(flag))),
        (RESERVE, "preview_sell(uint256)", word, lambda: reserve.preview_sell(amount)),
        (
            RESERVE,
            "preview_sell_ticket(uint256)",
            ticket.to_bytes(32, "big"),
            lambda: reserve.preview_sell_ticket(ticket),
        ),
        (RESERVE, "preview_stake(uint256)", word, lambda: reserve.preview_stake(amount)),
        (RESERVE, "convertToShares(uint256)", word, lambda: reserve.convert_to_shares(amount)),
        (RESERVE, "convertToAssets(uint256)", word, lambda: reserve.convert_to_assets(amount)),
        (RESERVE, "previewDeposit(uint256)", word, lambda: reserve.preview_deposit(amount)),
        (RESERVE, "previewMint(uint256)", word, lambda: reserve.preview_mint(amount)),
        (RESERVE, "previewWithdraw(uint256)", word, lambda: reserve.preview_withdraw(amount)),
        (RESERVE, "previewRedeem(uint256)", word, lambda: reserve.convert_to_assets(amount)),
        (VAULT, "convertToShares(uint256)", word, lambda: pool.convert_to_shares(amount)),
        (VAULT, "convertToAssets(uint256)", word, lambda: pool.convert_to_assets(amount)),
        (VAULT, "previewDeposit(uint256)", word, lambda: pool.convert_to_shares(amount)),
        (VAULT, "previewMint(uint256)", word, lambda: pool.preview_mint(amount)),
        (VAULT, "previewWithdraw(uint256)", word, lambda: pool.preview_withdraw(amount)),
        (VAULT, "previewRedeem(uint256)", word, lambda: pool.preview_redeem(amount)),
    ]


def _of_room(c: Choices, w: World) -> list[Question]:
    """Ask the room about itself."""
    assert isinstance(w, MarketWorld)
    pair, reserve, gauge, pool = w.pair, w.reserve, w.gauge, w.pool
    account, token = c.pick(list(ADDRESS_WORD)), c.pick([*REWARDS, RESERVE])
    words = ADDRESS_WORD[account] + ADDRESS_WORD[token]

    def reward() -> tuple[int, ...]:
        state = gauge.reward(token)
        return _number(state.distributor), *state[1:]

    def opened() -> tuple[int, ...]:
        tickets = reserve.tickets
        return 32, len(tickets), *(part for ticket in tickets for part in ticket)

    def round_data() -> tuple[int, ...]:
        at = pool.report_at
        return at, pool.exit_rate(), at, at, at

    return [
        (PAIR, "price()", b"", pair.price),
        (PAIR, "price_cumulative()", b"", pair.price_cumulative),
        (PAIR, "virtual_price()", b"", pair.virtual_price),
        (PAIR, "balances()", b"", lambda: (pair.eth, pair.floeth)),
        (PAIR, "locked()", b"", pair.locked),
        (PAIR, "fee()", b"", pair.fee),
        (PAIR, "amplification()", b"", pair.amplification),
        (PAIR, "parameters()", b"", lambda: (*pair.fees, pair.a_from, pair.a_to, pair.ramp_start, pair.ramp_end)),
        (PAIR, "admin_fees()", b"", pair.admin_fees),
        (PAIR, "fee_receiver()", b"", lambda: _number(pair.fee_receiver)),
        (RESERVE, "totalAssets()", b"", reserve.total_assets),
        (RESERVE, "fee()", b"", reserve.fee),
        (RESERVE, "cash()", b"", reserve.cash),
        (RESERVE, "fresh()", b"", reserve.fresh),
        (RESERVE, "held()", b"", reserve.held),
        (RESERVE, "queued()", b"", reserve.queued),
        (RESERVE, "locked()", b"", reserve.locked),
        (RESERVE, "parameters()", b"", lambda: tuple(map(int, reserve.parameters))),
        (RESERVE, "open_tickets()", b"", opened),
        (VAULT, "totalAssets()", b"", w.vault.total_assets),
        (GAUGE, "total_staked()", b"", lambda: gauge.total_staked),
        (GAUGE, "reward_tokens()", b"", lambda: list(map(_number, gauge.tokens))),
        (GAUGE, "reward(address)", ADDRESS_WORD[token], reward),
        (GAUGE, "earned(address,address)", words, lambda: gauge.earned(account, token)),
        (GAUGE, "fraction(address,address)", words, lambda: gauge.fraction(account, token)),
        (FEED, "getRate()", b"", pool.exit_rate),
        (FEED, "latestRoundData()", b"", round_data),
    ]


NOBODY = Operator(ZERO, 0, 0, 0, ZERO, 0, 0)
KINDS = (_of_account, _of_pair, _of_amount, _of_pool, _of_ticket, _of_oracle)


def ask(c: Choices) -> str:
    """Ask one view at random and compare; returns its name. Raises Mismatch."""
    w = c.w
    kinds: tuple[Callable[[Choices, World], list[Question]], ...] = KINDS
    if isinstance(w, ValidatorWorld):
        kinds = (*KINDS, _of_registry, _of_registry)
    elif isinstance(w, MarketWorld):
        kinds = (_of_tokens, _of_prices, _of_prices, _of_room, _of_room)
    contract, signature, arguments, answer = c.pick(c.pick(kinds)(c, w))
    selectors = {
        POOL: w.pool_selectors,
        QUEUE: w.queue_selectors,
        TOKEN: w.token_selectors,
        REPORT_ORACLE: w.oracle_selectors,
    }
    if isinstance(w, ValidatorWorld):
        selectors |= {VALIDATOR_REGISTRY: w.registry_selectors, WITHDRAWAL_VAULT: w.vault_selectors}
    if isinstance(w, MarketWorld):
        selectors |= w.selectors
    expected: bytes | None = None
    reason: str | None = None
    try:
        expected = encode_answer(answer())
    except Revert as revert:
        reason = revert.reason
    got: bytes | None = None
    got_reason: str | None = None
    try:
        got = w.evm.message_call(OUTSIDER, contract, selectors[contract][signature] + arguments, 0, GAS, None, True)
    except RuntimeError as error:
        got_reason = reason_of(error)
    w.evm.reset_transient_storage()
    if (got, got_reason) != (expected, reason):
        said = f"contract {got.hex() if got is not None else got_reason}"
        wanted = f"model {expected.hex() if expected is not None else reason}"
        raise Mismatch(f"{NAMES[contract]}.{signature} of 0x{arguments.hex()}: {said}, {wanted}")
    return f"{NAMES[contract]}.{signature}"
