# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Revert reasons
@license GNU Affero General Public License v3.0 only
@notice Every reason Floe's own code can revert with, declared once: "subject: problem".
        snekmate's modules keep their own ("access_control: ...", "ecdsa: ...").
@dev `assert ok, reason` writes the whole encoding of its string at every place. Where bytecode is short (the pool and
     its modules), `if not ok: _refuse(reason)` is half as long and costs the good path no more.
"""

# ---- shared -------------------------------------------------------------------------------------
NOT_QUEUE: constant(String[32]) = "caller: not the queue"
NOT_POOL: constant(String[32]) = "caller: not the pool"
NOT_VAULT: constant(String[32]) = "caller: not a vault"
NOT_ADMIN_CONTRACT: constant(String[32]) = "admin: not a contract"
RECEIVER: constant(String[32]) = "receiver: refused"
SEND_FAILED: constant(String[32]) = "ether: send failed"

# ---- deployment ---------------------------------------------------------------------------------
SEED: constant(String[32]) = "seed: too small"
PEER: constant(String[32]) = "peer: not wired to this contract"

# ---- ERC-20, ERC-2612 ---------------------------------------------------------------------------
BALANCE: constant(String[32]) = "balance: too low"
ALLOWANCE: constant(String[32]) = "allowance: too low"
PERMIT_EXPIRED: constant(String[32]) = "permit: expired"
PERMIT_SIGNER: constant(String[32]) = "permit: wrong signer"

# ---- pool ---------------------------------------------------------------------------------------
NO_VALUE: constant(String[32]) = "pool: no value"
OVERFLOW: constant(String[32]) = "pool: total over 96 bits"
DEPOSIT_PAUSED: constant(String[32]) = "deposit: paused"
DEPOSIT_LOSS: constant(String[32]) = "deposit: loss pending"
DEPOSIT_CEILING: constant(String[32]) = "deposit: over the ceiling"
DEPOSIT_VALUE: constant(String[32]) = "deposit: value differs"
DEPOSIT_ZERO: constant(String[32]) = "deposit: zero shares"
MIN_SHARES: constant(String[32]) = "slippage: too few shares"
MINT_VALUE: constant(String[32]) = "mint: value too low"
INSTANT_LIMIT: constant(String[32]) = "instant: over the limit"
INSTANT_ZERO: constant(String[32]) = "instant: zero assets"
NO_CONVERGENCE: constant(String[32]) = "instant: no convergence"
MIN_ASSETS: constant(String[32]) = "slippage: too few assets"
MAX_SHARES: constant(String[32]) = "slippage: too many shares"
FULFIL_PAUSED: constant(String[32]) = "fulfil: paused"
FULFIL_NOTHING: constant(String[32]) = "fulfil: nothing to pay"
FULFIL_TOO_LITTLE: constant(String[32]) = "fulfil: too little"
NOT_STALE: constant(String[32]) = "report: not stale"
STAKE_LIMIT: constant(String[32]) = "stake: over the limit"
REPORT_DEPOSITED: constant(String[32]) = "report: deposits ahead of pool"
REPORT_DONATED: constant(String[32]) = "report: donations fell"
REPORT_RAISED: constant(String[32]) = "report: raises ahead of pool"
REPORT_TAIL: constant(String[32]) = "report: tail ahead of queue"
PARAMETER: constant(String[32]) = "parameter: out of bounds"
PAUSE_TOO_LONG: constant(String[32]) = "pause: too long"

# ---- queue --------------------------------------------------------------------------------------
REQUEST_ZERO: constant(String[32]) = "request: zero shares"
REQUEST_NONE: constant(String[32]) = "request: empty list"
LINE_FULL: constant(String[32]) = "request: line over 95 bits"
NO_TICKET: constant(String[32]) = "ticket: does not exist"
NOT_OWNER: constant(String[32]) = "ticket: caller may not"
WRONG_OWNER: constant(String[32]) = "ticket: not the owner's"
CLAIM_NOTHING: constant(String[32]) = "claim: nothing filled"
CLAIM_GAS: constant(String[32]) = "claim: too little gas"
CLAIM_LENGTHS: constant(String[32]) = "claim: lengths differ"
HINT: constant(String[32]) = "claim: wrong hint"
ERC721_RECEIVER: constant(String[32]) = "receiver: not for ERC-721"

# ---- rebasing token -----------------------------------------------------------------------------
ZERO_SHARES: constant(String[32]) = "wrap: zero shares"

# ---- governance ---------------------------------------------------------------------------------
NO_PARTIES: constant(String[32]) = "timelock: nobody to act"
DELAY_SHORT: constant(String[32]) = "timelock: delay too short"
PAUSE_SHORTENS: constant(String[32]) = "pause: would shorten one"
PAUSE_COOLDOWN: constant(String[32]) = "pause: key on cooldown"

# ---- vaults -------------------------------------------------------------------------------------
VAULT_SHORT: constant(String[32]) = "vault: balance too low"
NOT_REGISTRY: constant(String[32]) = "caller: not the registry"
NOT_ADMIN: constant(String[32]) = "caller: not the admin"
NO_SYSTEM_CONTRACT: constant(String[32]) = "request: no system contract"
FEE_UNREADABLE: constant(String[32]) = "request: fee not readable"
FEE_LIMIT: constant(String[32]) = "request: fee over the limit"
REQUEST_REFUSED: constant(String[32]) = "request: refused"

# ---- oracle -------------------------------------------------------------------------------------
NOT_MEMBER: constant(String[32]) = "committee: not this member"
MEMBERS: constant(String[32]) = "committee: wrong members"
MAJORITY: constant(String[32]) = "committee: no majority"
SIGNERS: constant(String[32]) = "committee: wrong signers"
SIGNATURE: constant(String[32]) = "committee: wrong signature"
QUORUM: constant(String[32]) = "committee: no quorum"
FRAME: constant(String[32]) = "report: not at a frame"
REPORT_OLD: constant(String[32]) = "report: not newer"
REPORT_EARLY: constant(String[32]) = "report: not yet"
REPORT_LATE: constant(String[32]) = "report: too old"
REPORT_FELL: constant(String[32]) = "report: a counter fell"
REPORT_VAULT: constant(String[32]) = "report: ahead of the vault"
REPORT_GAS: constant(String[32]) = "report: too little gas"
NOT_HELD: constant(String[32]) = "report: not held"

# ---- proofs -------------------------------------------------------------------------------------
PROOF_LENGTH: constant(String[32]) = "proof: wrong length"
PROOF_INDEX: constant(String[32]) = "proof: index too high"
PROOF_SUBTREE: constant(String[32]) = "proof: not in one subtree"
PROOF_ROOT: constant(String[32]) = "proof: wrong root"
PROOF_OLD: constant(String[32]) = "validator: proof too old"
NO_BLOCK_ROOT: constant(String[32]) = "block root: not known"
NO_FORK: constant(String[32]) = "fork: none for this slot"
FORKS_FULL: constant(String[32]) = "fork: too many"
FORK_ORDER: constant(String[32]) = "fork: not after the last"

# ---- operators ----------------------------------------------------------------------------------
NO_OPERATOR: constant(String[32]) = "operator: does not exist"
OPERATOR_FULL: constant(String[32]) = "operator: too many"
OPERATOR_NUMBER: constant(String[32]) = "operator: number too large"
NOT_MANAGER: constant(String[32]) = "caller: not the manager"
BOND_SHORT: constant(String[32]) = "bond: too low"
BOND_GWEI: constant(String[32]) = "bond: not whole Gwei"

# ---- validators ---------------------------------------------------------------------------------
KEYS_LENGTH: constant(String[32]) = "keys: wrong length"
KEY_KNOWN: constant(String[32]) = "validator: known already"
VALIDATOR_LIMIT: constant(String[32]) = "operator: over its limit"
VALIDATOR_STATE: constant(String[32]) = "validator: not in this state"
NOT_WITHDRAWN: constant(String[32]) = "validator: not withdrawn"
STAKE_BOUNDS: constant(String[32]) = "stake: not 32 to 2048 ETH"
TOP_UP_SMALL: constant(String[32]) = "top-up: below 1 ETH"
OVER_QUOTA: constant(String[32]) = "operator: over its quota"
NO_DEPOSIT_CONTRACT: constant(String[32]) = "deposit contract: no code"
PULL_AMOUNT: constant(String[32]) = "withdrawal: too much"
NOT_OVERDUE: constant(String[32]) = "exits: not overdue"
EXITS_RECORDED: constant(String[32]) = "exits: recorded already"
NOT_ABOVE_QUOTA: constant(String[32]) = "operator: not above its quota"
OTHER_OPERATOR: constant(String[32]) = "consolidation: other operator"
SAME_VALIDATOR: constant(String[32]) = "consolidation: same validator"

# ---- fees ---------------------------------------------------------------------------------------
COVER_LIMIT: constant(String[32]) = "cover: over the limit"

# ---- liquidity ----------------------------------------------------------------------------------
PLAIN_ETHER: constant(String[32]) = "ether: not like this"
MIN_LIQUIDITY: constant(String[32]) = "slippage: too little liquidity"
PAIR_NO_VALUE: constant(String[32]) = "pair: no value"
PAIR_BALANCE: constant(String[32]) = "pair: too far from balance"
PAIR_TOO_SMALL: constant(String[32]) = "pair: too small"
PAIR_FIRST: constant(String[32]) = "pair: first deposit"
PAIR_FRESH: constant(String[32]) = "pair: fresh liquidity"
PAIR_NO_CONVERGENCE: constant(String[32]) = "pair: no convergence"
ZAP_TARGET: constant(String[32]) = "zap: not one target"
GAUGE_ZERO: constant(String[32]) = "gauge: zero amount"
GAUGE_FULL: constant(String[32]) = "gauge: total over 120 bits"
NO_REWARD: constant(String[32]) = "reward: not known"
REWARD_KNOWN: constant(String[32]) = "reward: known already"
REWARD_FULL: constant(String[32]) = "reward: too many"
REWARD_STAKED: constant(String[32]) = "reward: the staked token"
REWARD_NOTHING: constant(String[32]) = "reward: nothing came"
REWARD_LARGE: constant(String[32]) = "reward: over 96 bits"
NOT_DISTRIBUTOR: constant(String[32]) = "caller: not the distributor"
NOT_TOKEN: constant(String[32]) = "token: not a contract"
TRANSFER_FAILED: constant(String[32]) = "token: transfer failed"
NO_ROUND: constant(String[32]) = "feed: no such round"
RESERVE_PAUSED: constant(String[32]) = "reserve: exits paused"
RESERVE_LOSS: constant(String[32]) = "reserve: loss pending"
RESERVE_SHORT: constant(String[32]) = "reserve: too little ETH"
RESERVE_NOTHING: constant(String[32]) = "reserve: nothing to buy"
RESERVE_TICKET_SMALL: constant(String[32]) = "reserve: ticket too small"
RESERVE_FULL: constant(String[32]) = "reserve: too many tickets"
RESERVE_BATCH_SMALL: constant(String[32]) = "reserve: too little to queue"
RESERVE_FIRST: constant(String[32]) = "reserve: first deposit"
RESERVE_NO_VALUE: constant(String[32]) = "reserve: no value"


@internal
@pure
def _refuse(reason: String[32]):
    raise reason
