# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The pool's books
@license GNU Affero General Public License v3.0 only
@notice The pool's storage, its prices, and the only places where shares come into being or cease. All in wei, floored
        unless a name says otherwise:

            A assets   all ETH behind the shares          S shares    total supply
            O outside  the part of A not in the pool      L locked    rewards still to be streamed
            P pending  loss known but not settled         D deficit   past losses not yet earned back

            buffer = A - O      entry value V = A - L      exit value X = max(V - P, 0)
"""
from ethereum.ercs import IERC20
from contracts.lib import parameters
from contracts.lib import reasons
from contracts.lib import stream
from contracts.lib import words
from interfaces import IFloePool
from interfaces import IWithdrawalQueue

BPS: constant(uint256) = 10_000
RATE_UNIT: constant(uint256) = 10**18
WEI_IN_GWEI: constant(uint256) = 10**9

# Over this part of the assets nobody should buy into a known loss.
LOSSY_PERCENT: constant(uint256) = 1

QUEUE: immutable(IWithdrawalQueue)

# The words of `words.vy`.
totals: uint256
stream_word: uint256
away: uint256
past: uint256
exits: uint256
flows: uint256
# The word of `parameters.vy`.
live: uint256
# Cumulative wei of gifts to the withdrawal vault that reports have taken in.
donated: uint256
# Shares by holder. Those that wait in the queue are in `exits` instead.
balances: HashMap[address, uint256]


@deploy
def __init__(queue: IWithdrawalQueue, seed: uint256):
    """
    @notice `seed` wei buy the first shares; they belong to the pool itself for ever, so S > 0.
    """
    QUEUE = queue
    self.totals = words._with_pair(0, seed, seed)
    self.past = block.timestamp << 96
    self.balances[self] = seed
    log IERC20.Transfer(sender=empty(address), receiver=self, value=seed)
    log IFloePool.Deposit(sender=msg.sender, owner=self, assets=seed, shares=seed)


# ---- views ----------------------------------------------------------------------------------------


@external
@view
def totalSupply() -> uint256:
    """
    @notice All shares, the seed and the queue's included.
    """
    return words._low(self.totals)


@external
@view
def balanceOf(owner: address) -> uint256:
    """
    @notice Shares of `owner`. The queue's are those of all open exits.
    """
    if owner == QUEUE.address:
        return words._low(self.exits)
    return self.balances[owner]


@external
@view
def totalAssets() -> uint256:
    """
    @notice ERC-4626: the entry value, all assets less locked rewards, in wei.
    """
    return self._entry_value(self.totals)


@external
@view
def convertToShares(assets: uint256) -> uint256:
    """
    @notice ERC-4626: shares worth `assets` wei at the entry rate (rounds down). Reverts: "pool: no value".
    """
    return self._to_shares(assets)


@external
@view
def convertToAssets(shares: uint256) -> uint256:
    """
    @notice ERC-4626: wei that `shares` are worth at the entry rate (rounds down).
    """
    totals: uint256 = self.totals
    return shares * self._entry_value(totals) // words._low(totals)


@external
@view
def previewDeposit(assets: uint256) -> uint256:
    """
    @notice ERC-4626: shares for `assets` wei (rounds down). Reverts: "pool: no value".
    """
    return self._to_shares(assets)


@external
@view
def previewMint(shares: uint256) -> uint256:
    """
    @notice ERC-4626: wei for `shares` (rounds up).
    """
    return self._to_assets_up(shares)


@external
@view
def maxDeposit(receiver: address) -> uint256:
    """
    @notice ERC-4626: wei that `receiver` could be staked for now; 0 while deposits are refused.
    """
    room: uint256 = self._room(receiver)
    if room == 0:
        return 0
    totals: uint256 = self.totals
    supply: uint256 = words._low(totals)
    entry_value: uint256 = self._entry_value(totals)
    room = min(room, ((words.U96 - supply + 1) * entry_value - 1) // supply)
    if room * supply < entry_value:
        return 0  # too little for one share
    return room


@external
@view
def maxMint(receiver: address) -> uint256:
    """
    @notice ERC-4626: shares that could be minted for `receiver` now.
    """
    room: uint256 = self._room(receiver)
    if room == 0:
        return 0
    return min(self._to_shares(room), words.U96 - words._low(self.totals))


@external
@view
def entry_rate() -> uint256:
    """
    @notice Wei per 1e18 shares when entering (rounds down).
    """
    totals: uint256 = self.totals
    return self._entry_value(totals) * RATE_UNIT // words._low(totals)


@external
@view
def entry_price() -> (uint256, uint256):
    """
    @notice The entry rate as an exact fraction: wei of entry value, and the shares they are worth.
    """
    totals: uint256 = self.totals
    return self._entry_value(totals), words._low(totals)


@external
@view
def exit_rate() -> uint256:
    """
    @notice Wei per 1e18 shares when leaving, before any instant-exit fee (rounds down).
    """
    totals: uint256 = self.totals
    return self._exit_value(totals, self.away) * RATE_UNIT // words._low(totals)


@external
@view
def buffer() -> uint256:
    """
    @notice Wei of the assets that lie in this contract; ETH forced into it does not count.
    """
    return words._high(self.totals) - words._low(self.away)


@external
@view
def stakeable() -> uint256:
    """
    @notice Wei that the registry may take now: the buffer beyond what waiting exits need and beyond its target. 0
            while deposits are paused.
    """
    return self._stakeable()


@external
@view
def locked() -> uint256:
    """
    @notice Wei of rewards not streamed yet.
    """
    return stream._locked(self.stream_word, block.timestamp)


@external
@view
def pending_loss() -> uint256:
    """
    @notice Wei of a known loss that is not settled: out of the exit price, not yet out of the assets.
    """
    return words._high(self.away)


@external
@view
def deficit() -> uint256:
    """
    @notice Wei of past losses that gains must repay before a fee is taken.
    """
    return words._low(self.past)


@external
@view
def outside() -> uint256:
    """
    @notice Wei of the assets that are not in this contract: with validators, in flight, or credited and not swept.
    """
    return words._low(self.away)


@external
@view
def eligible() -> uint256:
    """
    @notice Shares of waiting exits that `fulfil` may pay now.
    """
    return words._high(self.exits)


@external
@view
def state() -> uint256[8]:
    """
    @notice The raw words totals, stream, away, past, exits, flows (`words.vy`), parameters (`parameters.vy`), and the
            cumulative wei of gifts taken in. `Lens` reads them out by name.
    """
    return [self.totals, self.stream_word, self.away, self.past, self.exits, self.flows, self.live, self.donated]


@external
@view
def queue() -> address:
    """
    @notice The withdrawal queue.
    """
    return QUEUE.address


# ---- values ---------------------------------------------------------------------------------------


@internal
@view
def _entry_value(totals: uint256) -> uint256:
    return words._high(totals) - stream._locked(self.stream_word, block.timestamp)


@internal
@view
def _exit_value(totals: uint256, away: uint256) -> uint256:
    entry_value: uint256 = ((totals >> 96) & words.U96) - stream._locked(self.stream_word, block.timestamp)
    return entry_value - min((away >> 96) & words.U96, entry_value)


@internal
@view
def _to_shares(assets: uint256) -> uint256:
    totals: uint256 = self.totals
    entry_value: uint256 = self._entry_value(totals)
    if entry_value == 0:
        reasons._refuse(reasons.NO_VALUE)
    return assets * words._low(totals) // entry_value


@internal
@view
def _to_assets_up(shares: uint256) -> uint256:
    totals: uint256 = self.totals
    supply: uint256 = words._low(totals)
    return (shares * self._entry_value(totals) + supply - 1) // supply


@internal
@view
def _free(totals: uint256, away: uint256) -> uint256:
    """
    @notice The buffer beyond what all waiting exits would take at the exit rate (their need rounded up).
    """
    supply: uint256 = words._low(totals)
    needed: uint256 = (words._low(self.exits) * self._exit_value(totals, away) + supply - 1) // supply
    buffer: uint256 = words._high(totals) - words._low(away)
    return buffer - min(needed, buffer)


@internal
@view
def _stakeable() -> uint256:
    totals: uint256 = self.totals
    if words._time(totals) > block.timestamp:
        return 0
    free: uint256 = self._free(totals, self.away)
    return free - min(words._high(totals) * parameters._unpack(self.live).target_bps // BPS, free)


@internal
@view
def _room(receiver: address) -> uint256:
    """
    @notice Wei up to the deposit ceiling; 0 while deposits for `receiver` are refused.
    """
    totals: uint256 = self.totals
    if (
        self._entry_value(totals) == 0
        or totals & words.LOSSY != 0
        or words._time(totals) > block.timestamp
        or self._refuses(receiver)
    ):
        return 0
    ceiling: uint256 = (self.stream_word >> 176) * WEI_IN_GWEI
    return ceiling - min(words._high(totals), ceiling)


# ---- shares ---------------------------------------------------------------------------------------


@internal
@view
def _refuses(to: address) -> bool:
    """
    @notice Whether shares or ETH sent there would be lost: nobody, this pool, the queue.
    """
    return to == empty(address) or to == self or to == QUEUE.address


@internal
@view
def _check_receiver(to: address):
    if self._refuses(to):
        reasons._refuse(reasons.RECEIVER)


@internal
def _move(owner: address, to: address, shares: uint256):
    """
    @notice ERC-20 transfer. Written out, because it is the call that people make most.
    """
    if to == empty(address) or to == self or to == QUEUE.address:
        reasons._refuse(reasons.RECEIVER)
    balance: uint256 = self.balances[owner]
    if balance < shares:
        reasons._refuse(reasons.BALANCE)
    self.balances[owner] = unsafe_sub(balance, shares)
    self.balances[to] += shares
    log IERC20.Transfer(sender=owner, receiver=to, value=shares)


@internal
def _take(owner: address, shares: uint256):
    balance: uint256 = self.balances[owner]
    # Nobody signs for this contract or the queue, so the seed and waiting shares cannot be taken.
    if balance < shares:
        reasons._refuse(reasons.BALANCE)
    self.balances[owner] = unsafe_sub(balance, shares)


@internal
def _enter(assets: uint256, shares: uint256, totals: uint256, stream_word: uint256, receiver: address):
    """
    @notice The single way in: book `assets` wei that came with this call and mint `shares`.
    """
    self._check_receiver(receiver)
    if shares == 0:
        reasons._refuse(reasons.DEPOSIT_ZERO)
    # One look at the flags and the pause, which are nearly always clear.
    if totals >> 192 != 0:
        if totals & words.LOSSY != 0:
            reasons._refuse(reasons.DEPOSIT_LOSS)
        if words._time(totals) > block.timestamp:
            reasons._refuse(reasons.DEPOSIT_PAUSED)
    if ((totals >> 96) & words.U96) + assets > (stream_word >> 176) * WEI_IN_GWEI:
        reasons._refuse(reasons.DEPOSIT_CEILING)
    if (totals & words.U96) + shares > words.U96:
        reasons._refuse(reasons.OVERFLOW)
    # Neither half spills over: the ceiling is below 2**96 wei.
    self.totals = unsafe_add(totals, (assets << 96) | shares)
    self.balances[receiver] += shares
    log IERC20.Transfer(sender=empty(address), receiver=receiver, value=shares)
    log IFloePool.Deposit(sender=msg.sender, owner=receiver, assets=assets, shares=shares)


@internal
def _burn(totals: uint256, away: uint256, shares: uint256, assets: uint256) -> uint256:
    """
    @notice Book shares that leave with `assets` wei. Their part (rounded down) of a pending loss is settled with
            them: it goes from P, from O and from A, so that neither price moves for those who stay. Their part of
            the deficit goes too.
    @return The wei of the loss that was settled.
    """
    # Each word falls in both halves at once. Nothing borrows: shares are part of S, what leaves is part of A, and a
    # report keeps P within O.
    supply: uint256 = totals & words.U96
    pending_loss: uint256 = (away >> 96) & words.U96
    borne: uint256 = pending_loss * shares // supply
    self.totals = unsafe_sub(totals, ((assets + borne) << 96) | shares)
    if pending_loss > 0:
        self.away = unsafe_sub(away, (borne << 96) | borne)
        self._flag_loss(pending_loss - borne)
    if totals & words.DEFICIT != 0:
        deficit: uint256 = words._low(self.past)
        self._set_deficit(deficit - deficit * shares // supply)
    return borne


@internal
def _set_deficit(deficit: uint256):
    """
    @notice Write the deficit and its flag, which spares fulfilments a read while there is none.
    """
    self.past = words._with_low(self.past, deficit)
    totals: uint256 = self.totals & ~words.DEFICIT
    if deficit > 0:
        totals |= words.DEFICIT
    self.totals = totals


@internal
def _flag_loss(pending_loss: uint256):
    """
    @notice Close deposits while the pending loss is over 1 % of the assets.
    """
    totals: uint256 = self.totals & ~words.LOSSY
    if pending_loss * 100 > words._high(totals) * LOSSY_PERCENT:
        totals |= words.LOSSY
    self.totals = totals


@internal
def _send(to: address, amount: uint256):
    if not raw_call(to, b"", value=amount, max_outsize=0, revert_on_failure=False):
        reasons._refuse(reasons.SEND_FAILED)
