# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Gauge
@license GNU Affero General Public License v3.0 only
@notice People stake one token and earn others by share and time. What a distributor notifies streams evenly over the
        token's period; what streams in a moment is divided by the stakes of that moment. An accumulator for each token
        keeps what one staked wei has earned, so every call costs the same however many people stake, and grows only
        with the number of reward tokens, of which there are 8 at most.

        Earnings are counted in scaled wei (wei * SCALE), and no part of one is lost. For each token, always and
        exactly, in scaled wei:

            all that was notified = (left + idle) * SCALE + rest + paid * SCALE + earnings of all accounts + forfeited

            left       what has not streamed yet
            idle       what streamed while nobody staked: it streams again with the next notification
            rest       what the last division by the stakes left: the next one takes it in
            earnings   `earned` * SCALE + `fraction` of each account
            forfeited  what divisions had given to accounts that left by `emergency_exit` since they were last settled:
                       it stays here, and belongs to nobody. What had streamed and was not divided yet goes to those who
                       stay, or is idle

        So what stays here for good is below one wei for each account, below two of the rest, and what was forfeited.

        Staking and withdrawing never call a reward token: whatever one of them does, it can hold up nobody's stake and
        no other token. Each token is paid out of what was notified of it, and of nothing else.
@dev What stops it, who can, and what still works then: nothing stops it. The admin (a timelock) adds reward tokens, up
     to 8 and for ever, and names who may notify each of them; a distributor can only bring more of its token, and by
     that let what is left of it stream over a new period. A reward token that takes back what lies here, or a staked
     token that takes fees, would break what is said above: neither is for this contract. The staked token is trusted.
"""
from snekmate.auth import access_control
from contracts.lib import reasons
from interfaces import IGauge

implements: IGauge

initializes: access_control

exports: (
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.grantRole,
    access_control.hasRole,
    access_control.revokeRole,
)


interface StakedToken:
    def transfer(to: address, amount: uint256) -> bool: nonpayable
    def transferFrom(owner: address, to: address, amount: uint256) -> bool: nonpayable


interface RewardToken:
    def balanceOf(account: address) -> uint256: view
    def transferFrom(owner: address, to: address, amount: uint256) -> bool: nonpayable


# By what an account earns a token.
struct Account:
    per_staked: uint256  # what each staked wei had earned when `earned` was last brought up to date
    earned: uint256  # scaled wei, and not paid


# @notice Scaled wei in a wei: so many that each wei of a reward reaches the accumulator at once, even divided by a
#         billion staked tokens of 18 decimals. A coarser one would credit a token of 6 decimals in steps.
SCALE: public(constant(uint256)) = 10**36
MAX_TOKENS: constant(uint256) = 8
MIN_PERIOD: constant(uint256) = 3_600  # a shorter one would be a step
MAX_PERIOD: constant(uint256) = 366 * 86_400
# Gas that each token gets when several are paid: one that burns it cannot keep the others from being paid.
TRANSFER_GAS: constant(uint256) = 200_000

U40: constant(uint256) = 2**40 - 1
U96: constant(uint256) = 2**96 - 1
U120: constant(uint256) = 2**120 - 1

TOKEN: immutable(StakedToken)

# @notice What all accounts have staked.
total_staked: public(uint256)
# @notice What an account has staked.
staked: public(HashMap[address, uint256])

# Tokens that are earned, in the order of their coming.
tokens: DynArray[address, MAX_TOKENS]
# Token -> who may notify it.
distributors: HashMap[address, address]
# Token -> amount u96 | start u40 | end u40 | period u32.
streams: HashMap[address, uint256]
# Token -> rest u120 | idle u96 | time u40 until which the stream was divided; scaled wei that each staked wei earned.
carries: HashMap[address, uint256]
per_staked: HashMap[address, uint256]
# Account -> token.
accounts: HashMap[address, HashMap[address, Account]]


@deploy
def __init__(staked_token: address, admin: address):
    """
    @notice Both must be there already.
    @dev Reverts: "admin: not a contract", "token: not a contract".
    """
    assert admin.is_contract, reasons.NOT_ADMIN_CONTRACT
    assert staked_token.is_contract, reasons.NOT_TOKEN
    TOKEN = StakedToken(staked_token)
    access_control.__init__()
    access_control._revoke_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    access_control._grant_role(access_control.DEFAULT_ADMIN_ROLE, admin)


# ---- stakes ---------------------------------------------------------------------------------------


@external
def stake(amount: uint256, receiver: address = msg.sender):
    """
    @notice Pull `amount` of the staked token from the caller, who has approved it, and let them earn for `receiver`,
            whose stake they become.
    @dev Reverts: "gauge: zero amount", "receiver: refused", "gauge: total over 120 bits", "token: transfer failed", and
         as the staked token's transferFrom: the pair's says "erc20: insufficient allowance",
         "erc20: transfer amount exceeds balance", "pair: fresh liquidity".
    """
    assert amount > 0, reasons.GAUGE_ZERO
    self._check_receiver(receiver)
    total: uint256 = self.total_staked
    assert amount <= U120 - total, reasons.GAUGE_FULL
    staked: uint256 = self.staked[receiver]
    self._settle_all(receiver, staked, total)
    self.staked[receiver] = staked + amount
    self.total_staked = total + amount
    log IGauge.Staked(caller=msg.sender, receiver=receiver, amount=amount)
    assert extcall TOKEN.transferFrom(msg.sender, self, amount), reasons.TRANSFER_FAILED


@external
def withdraw(amount: uint256, receiver: address = msg.sender):
    """
    @notice Send `amount` of the caller's stake to `receiver`. What was earned stays claimable.
    @dev Reverts: "gauge: zero amount", "receiver: refused", "balance: too low", "token: transfer failed".
    """
    assert amount > 0, reasons.GAUGE_ZERO
    self._check_receiver(receiver)
    staked: uint256 = self.staked[msg.sender]
    assert amount <= staked, reasons.BALANCE
    total: uint256 = self.total_staked
    self._settle_all(msg.sender, staked, total)
    self.staked[msg.sender] = staked - amount
    self.total_staked = total - amount
    log IGauge.Withdrawn(account=msg.sender, receiver=receiver, amount=amount)
    assert extcall TOKEN.transfer(receiver, amount), reasons.TRANSFER_FAILED


@external
def emergency_exit() -> uint256:
    """
    @notice Send the caller all of its stake and look at no reward. What it had earned when it last staked, withdrew or
            claimed stays claimable; what it has earned since is lost to it.
    @return The amount.
    @dev Reverts: "gauge: zero amount", "token: transfer failed".
    """
    staked: uint256 = self.staked[msg.sender]
    assert staked > 0, reasons.GAUGE_ZERO
    self.staked[msg.sender] = 0
    self.total_staked -= staked
    log IGauge.EmergencyExit(account=msg.sender, amount=staked)
    assert extcall TOKEN.transfer(msg.sender, staked), reasons.TRANSFER_FAILED
    return staked


# ---- rewards --------------------------------------------------------------------------------------


@external
def claim(account: address, token: address) -> uint256:
    """
    @notice Pay an account what it has earned in one token. Anyone may call.
    @return Wei paid, rounded down: the fraction stays with the account.
    @dev Reverts: "reward: not known", "token: transfer failed".
    """
    return self._claim(account, token, account)


@external
def claim_to(token: address, receiver: address) -> uint256:
    """
    @notice Pay what the caller has earned in one token to `receiver`.
    @return Wei paid, rounded down: the fraction stays with the caller.
    @dev Reverts: "receiver: refused", "reward: not known", "token: transfer failed".
    """
    self._check_receiver(receiver)
    return self._claim(msg.sender, token, receiver)


@external
def claim_all(account: address) -> DynArray[uint256, MAX_TOKENS]:
    """
    @notice Pay an account what it has earned in every token. A token that fails, or needs more than 200,000 gas, is
            left out, and what was earned in it stays. Anyone may call.
    @return Wei paid of each token, in the order of `reward_tokens`, rounded down.
    """
    paid: DynArray[uint256, MAX_TOKENS] = []
    for token: address in self.tokens:
        amount: uint256 = self._take(account, token)
        if amount > 0 and not self._paid(account, token, account, amount, TRANSFER_GAS):
            self.accounts[account][token].earned += amount * SCALE
            amount = 0
        paid.append(amount)
    return paid


@external
def notify(token: address, amount: uint256) -> uint256:
    """
    @notice Pull `amount` of a reward token from the caller, who has approved it, and let what comes of it stream from
            now over the token's period, together with what is left of the last one and what was idle. Distributor only.
    @return Wei that came: less than `amount` when the token takes a fee.
    @dev Reverts: "reward: not known", "caller: not the distributor", "token: transfer failed", "reward: nothing came",
         "reward: over 96 bits", and what the token says.
    """
    stream: uint256 = self._stream(token)
    assert msg.sender == self.distributors[token], reasons.NOT_DISTRIBUTOR
    before: uint256 = staticcall RewardToken(token).balanceOf(self)
    pulled: bool = extcall RewardToken(token).transferFrom(msg.sender, self, amount, default_return_value=True)
    assert pulled, reasons.TRANSFER_FAILED
    after: uint256 = staticcall RewardToken(token).balanceOf(self)
    assert after > before, reasons.REWARD_NOTHING
    received: uint256 = after - before
    assert received <= U96, reasons.REWARD_LARGE

    self._divide(token, self.total_staked)
    carry: uint256 = self.carries[token]
    left: uint256 = (stream & U96) - self._streamed(stream, block.timestamp)
    whole: uint256 = received + left + ((carry >> 120) & U96)
    assert whole <= U96, reasons.REWARD_LARGE
    period: uint256 = stream >> 176
    end: uint256 = block.timestamp + period
    self.streams[token] = (period << 176) | (end << 136) | (block.timestamp << 96) | whole
    self.carries[token] = (block.timestamp << 216) | (carry & U120)
    log IGauge.Notified(token=token, received=received, amount=whole, end=end)
    return received


# ---- admin ----------------------------------------------------------------------------------------


@external
def add_reward(token: address, distributor: address, period: uint256):
    """
    @notice Let a token be earned, for ever: it streams over `period` seconds, from an hour to 366 days, whenever
            `distributor` notifies it. Admin only.
    @dev Reverts: "access_control: account is missing role", "token: not a contract", "reward: the staked token",
         "reward: known already", "parameter: out of bounds", "reward: too many".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    assert token.is_contract, reasons.NOT_TOKEN
    assert token != TOKEN.address, reasons.REWARD_STAKED
    assert self.streams[token] == 0, reasons.REWARD_KNOWN
    assert period >= MIN_PERIOD and period <= MAX_PERIOD, reasons.PARAMETER
    assert len(self.tokens) < MAX_TOKENS, reasons.REWARD_FULL
    self.tokens.append(token)
    self.streams[token] = period << 176
    log IGauge.RewardAdded(token=token, distributor=distributor, period=period)
    self._set_distributor(token, distributor)


@external
def set_distributor(token: address, distributor: address):
    """
    @notice Let another account notify a token; the zero address: nobody. Admin only.
    @dev Reverts: "access_control: account is missing role", "reward: not known".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._stream(token)
    self._set_distributor(token, distributor)


# ---- views ----------------------------------------------------------------------------------------


@external
@view
def staked_token() -> address:
    """
    @notice The token that is staked.
    """
    return TOKEN.address


@external
@view
def reward_tokens() -> DynArray[address, MAX_TOKENS]:
    """
    @notice Tokens that are earned, in the order of their coming.
    """
    return self.tokens


@external
@view
def reward(token: address) -> IGauge.Reward:
    """
    @notice A reward token as it is at this moment.
    @dev Reverts: "reward: not known".
    """
    stream: uint256 = self._stream(token)
    carry: uint256 = 0
    per_staked: uint256 = 0
    carry, per_staked = self._divided(token, self.total_staked)
    return IGauge.Reward(
        distributor=self.distributors[token],
        period=stream >> 176,
        start=(stream >> 96) & U40,
        end=(stream >> 136) & U40,
        amount=stream & U96,
        left=(stream & U96) - self._streamed(stream, block.timestamp),
        idle=(carry >> 120) & U96,
        per_staked=per_staked,
        rest=carry & U120,
    )


@external
@view
def earned(account: address, token: address) -> uint256:
    """
    @notice Wei that `claim` would pay now.
    @dev Reverts: "reward: not known".
    """
    return self._earned(account, token) // SCALE


@external
@view
def fraction(account: address, token: address) -> uint256:
    """
    @notice Scaled part of a wei that an account has earned beyond `earned`.
    @dev Reverts: "reward: not known".
    """
    return self._earned(account, token) % SCALE


# ---- inside ---------------------------------------------------------------------------------------


@internal
@view
def _check_receiver(receiver: address):
    assert receiver not in [empty(address), self], reasons.RECEIVER


@internal
@view
def _stream(token: address) -> uint256:
    """
    @notice The stream of a token that is earned; that of a stranger's is 0, as it has no period.
    """
    stream: uint256 = self.streams[token]
    assert stream > 0, reasons.NO_REWARD
    return stream


@internal
@pure
def _streamed(stream: uint256, at: uint256) -> uint256:
    """
    @notice Wei that have streamed at a time not before the start (floors: what is between two times adds up).
    """
    amount: uint256 = stream & U96
    start: uint256 = (stream >> 96) & U40
    end: uint256 = (stream >> 136) & U40
    if at >= end:
        return amount
    return amount * (at - start) // (end - start)


@internal
@view
def _divided(token: address, total: uint256) -> (uint256, uint256):
    """
    @notice A token's carry and what a staked wei has earned, when what has streamed by now is divided by `total`
            (floors; the rest is carried). While nothing streams they stay as they are.
    """
    carry: uint256 = self.carries[token]
    per_staked: uint256 = self.per_staked[token]
    stream: uint256 = self.streams[token]
    streamed: uint256 = self._streamed(stream, block.timestamp) - self._streamed(stream, carry >> 216)
    if streamed == 0:
        return carry, per_staked
    rest: uint256 = carry & U120
    idle: uint256 = (carry >> 120) & U96
    if total == 0:
        idle += streamed
    else:
        # Below 2**216 + 2**120; and what a staked wei can have earned in a thousand years is below 2**256: a token
        # streams at most 2**96 wei in an hour.
        divided: uint256 = streamed * SCALE + rest
        per_staked += divided // total
        rest = divided % total
    return (block.timestamp << 216) | (idle << 120) | rest, per_staked


@internal
def _divide(token: address, total: uint256) -> uint256:
    """
    @notice Write down `_divided`; returns what a staked wei has earned.
    """
    carry: uint256 = 0
    per_staked: uint256 = 0
    carry, per_staked = self._divided(token, total)
    if carry != self.carries[token]:
        self.carries[token] = carry
        self.per_staked[token] = per_staked
    return per_staked


@internal
def _settle(account: address, token: address, staked: uint256, total: uint256):
    """
    @notice Credit an account what its stake has earned in one token.
    """
    per_staked: uint256 = self._divide(token, total)
    known: uint256 = self.accounts[account][token].per_staked
    if per_staked == known:
        return
    self.accounts[account][token].per_staked = per_staked
    if staked > 0:
        self.accounts[account][token].earned += staked * (per_staked - known)


@internal
def _settle_all(account: address, staked: uint256, total: uint256):
    for token: address in self.tokens:
        self._settle(account, token, staked, total)


@internal
@view
def _earned(account: address, token: address) -> uint256:
    """
    @notice Scaled wei that an account has earned by now and not been paid.
    """
    self._stream(token)
    carry: uint256 = 0
    per_staked: uint256 = 0
    carry, per_staked = self._divided(token, self.total_staked)
    known: Account = self.accounts[account][token]
    return known.earned + self.staked[account] * (per_staked - known.per_staked)


@internal
def _take(account: address, token: address) -> uint256:
    """
    @notice Settle an account and take its whole wei out of the books, to be paid.
    """
    self._settle(account, token, self.staked[account], self.total_staked)
    earned: uint256 = self.accounts[account][token].earned
    amount: uint256 = earned // SCALE
    if amount > 0:
        self.accounts[account][token].earned = earned % SCALE
    return amount


@internal
def _claim(account: address, token: address, receiver: address) -> uint256:
    self._stream(token)
    amount: uint256 = self._take(account, token)
    if amount > 0:
        assert self._paid(account, token, receiver, amount, msg.gas), reasons.TRANSFER_FAILED
    return amount


@internal
def _paid(account: address, token: address, receiver: address, amount: uint256, most_gas: uint256) -> bool:
    """
    @notice Send what was taken out of the books; whether that succeeded. A token may answer True or nothing.
    """
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        token,
        abi_encode(receiver, amount, method_id=method_id("transfer(address,uint256)")),
        max_outsize=32,
        gas=most_gas,
        revert_on_failure=False,
    )
    if not success or (len(answer) > 0 and convert(answer, uint256) != 1):
        return False
    log IGauge.Claimed(account=account, token=token, receiver=receiver, amount=amount)
    return True


@internal
def _set_distributor(token: address, distributor: address):
    self.distributors[token] = distributor
    log IGauge.DistributorSet(token=token, distributor=distributor)
