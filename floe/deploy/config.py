"""The parameter file of a network, `config/<network>.yaml`, and the bounds that its values must keep.

The contracts refuse the same values; here a mistake is found before anything is sent, and named. A test holds the
constants of this module against those in the Vyper sources.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml  # type: ignore[import-untyped]
from eth_utils.address import is_address, is_checksum_address, to_checksum_address
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from floe.beacon.containers import FORKS, MAINNET, MINIMAL, Preset, gindices
from floe.build import ROOT

FOLDER = ROOT / "config"
"""Where the parameter files are."""

GWEI = 10**9
ZERO_ADDRESS = "0x" + "00" * 20

# contracts/lib/parameters.vy
MAX_FEE_BPS = 2_000
MAX_RISE_BPS = 5_000
MIN_RISE_BPS = 100
MAX_TARGET_BPS = 2_000
MAX_ALLOWANCE_BPS = 2_000
MAX_INSTANT_FEE = 50_000
MIN_PERIOD = 3_600
MAX_PERIOD = 30 * 86_400
MIN_STALE_AFTER = 86_400
MAX_STALE_AFTER = 30 * 86_400
# contracts/pool/FloePool.vy
MIN_SEED = 10**9
MAX_CEILING_GWEI = 2**96 // 10**9
# contracts/governance/Timelock.vy
MIN_DELAY = 21 * 86_400
# contracts/validators/validator_book.vy
BPS = 10_000
MIN_PROMISE = 86_400
MAX_PROMISE = 30 * 86_400
# contracts/validators/beacon_chain.vy
MAX_FORKS = 16
# contracts/oracle/committee.vy
MAX_MEMBERS = 32
# contracts/oracle/limits.vy
HOUR = 3_600
MAX_FRAME = 7 * 86_400
MAX_DELAY = 2 * 86_400
MIN_LOSS_BPS = 10
MAX_LOSS_BPS = 1_000
MAX_WINDOW_BPS = 3_000
MIN_WINDOW = 7 * 86_400
MAX_WINDOW = 90 * 86_400
MIN_ALARM_BPS = 10
MAX_ALARM_BPS = 1_000
# contracts/oracle/FeeSplitter.vy
MAX_TREASURY_BPS = 5_000
MAX_COVER_BPS = 3_000
# contracts/liquidity/reserve_terms.vy
MAX_RESERVE_FEE = 100_000
LOWEST_MIN_TICKET = 10**15
HIGHEST_MIN_TICKET = 32 * 10**18
U96 = 2**96 - 1
# contracts/liquidity/pair_terms.vy
MIN_PAIR_FEE = 50
MAX_PAIR_FEE = 10_000
MIN_OFF_PEG = 10_000
MAX_OFF_PEG = 200_000
MAX_ADMIN_PPM = 500_000
MIN_AMPLIFICATION = 100
MAX_AMPLIFICATION = 500_000

FINALITY = 3
"""Epochs that a report must have at least: its reference slot is final after two, and then members need time."""

DEPLOYER = "deployer"
"""In a parameter file: the account that deploys."""
ANYONE = "anyone"
"""In a parameter file, among the timelock's executors: whoever calls."""
DEPLOY = "deploy"
"""In a parameter file, in the place of WETH's address: the chain has none, so one is deployed."""


class ConfigError(Exception):
    """A parameter file that is missing or wrong. The message names the file and every wrong value."""


def _account(value: object, info: ValidationInfo) -> str:
    words = (DEPLOYER, ANYONE) if info.field_name == "executors" else (DEPLOYER,)
    if value is None:
        raise PydanticCustomError("missing", "name the account that holds this role")
    if value in words:
        return str(value)
    if isinstance(value, str) and not is_address(value):
        raise PydanticCustomError("address", f"not an address, nor {' or '.join(map(repr, words))}")
    return _address(value)


def _address(value: object) -> str:
    # YAML reads an address without quotes as a number.
    if isinstance(value, int):
        raise PydanticCustomError("address", "put quotes around the address")
    if not isinstance(value, str) or not is_address(value):
        raise PydanticCustomError("address", "not an address")
    if value != value.lower() and not is_checksum_address(value):
        raise PydanticCustomError("address", "the address has a wrong checksum: a letter is mistyped")
    if int(value, 16) == 0:
        raise PydanticCustomError("address", "the zero address is nobody's")
    return str(to_checksum_address(value))


def _weth(value: object) -> str:
    if isinstance(value, str) and value != DEPLOY and not is_address(value):
        raise PydanticCustomError("address", f"not an address, nor {DEPLOY!r}")
    return DEPLOY if value == DEPLOY else _address(value)


Account = Annotated[Any, AfterValidator(_account)]
Address = Annotated[Any, AfterValidator(_address)]
Weth = Annotated[Any, AfterValidator(_weth)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Parameters(_Strict):
    """The pool's live parameters: as in `IFloePool.Parameters`, in the same order."""

    fee_bps: Annotated[int, Field(ge=0, le=MAX_FEE_BPS)]
    rise_bps: Annotated[int, Field(ge=MIN_RISE_BPS, le=MAX_RISE_BPS)]
    target_bps: Annotated[int, Field(ge=0, le=MAX_TARGET_BPS)]
    allowance_bps: Annotated[int, Field(ge=0, le=MAX_ALLOWANCE_BPS)]
    instant_fee_min: Annotated[int, Field(ge=0)]
    instant_fee_max: Annotated[int, Field(ge=0, le=MAX_INSTANT_FEE)]
    period: Annotated[int, Field(ge=MIN_PERIOD, le=MAX_PERIOD)]
    stale_after: Annotated[int, Field(ge=MIN_STALE_AFTER, le=MAX_STALE_AFTER)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.instant_fee_min > self.instant_fee_max:
            raise PydanticCustomError("order", "instant_fee_min must not exceed instant_fee_max")
        return self

    def as_tuple(self) -> tuple[int, ...]:
        """Return the values in the order of the struct."""
        return tuple(getattr(self, name) for name in type(self).model_fields)


class Registry(_Strict):
    """The registry's live parameters: as in `IValidatorRegistry.Parameters`, in the same order."""

    slashing_bps: Annotated[int, Field(ge=1, le=BPS)]
    promise: Annotated[int, Field(ge=MIN_PROMISE, le=MAX_PROMISE)]
    """Seconds."""

    def as_tuple(self) -> tuple[int, ...]:
        """Return the values in the order of the struct."""
        return tuple(getattr(self, name) for name in type(self).model_fields)


class Beacon(_Strict):
    """The beacon chain: what the registry has to know of it."""

    preset: Literal["mainnet", "minimal"]
    deposit_contract: Address
    genesis_time: Annotated[int, Field(gt=0, lt=2**64)]
    """Seconds since 1970."""
    seconds_per_slot: Annotated[int, Field(gt=0, lt=2**64)]
    forks: Annotated[dict[str, Annotated[int, Field(ge=0, lt=2**58)]], Field(min_length=1, max_length=MAX_FORKS)]
    """Activation epochs by name, from the first fork of which anything is to be proven."""

    @model_validator(mode="after")
    def _known_in_order(self) -> Self:
        if unknown := self.forks.keys() - set(FORKS):
            raise PydanticCustomError("forks", f"no such fork here: {', '.join(sorted(unknown))}")
        epochs = [self.forks[name] for name in FORKS if name in self.forks]
        if any(first >= second for first, second in pairwise(epochs)):
            raise PydanticCustomError("forks", "the epochs of the forks must rise from fork to fork")
        return self

    @property
    def sizes(self) -> Preset:
        """The preset's values."""
        return {"mainnet": MAINNET, "minimal": MINIMAL}[self.preset]

    def constants(self) -> tuple[str, int, int, int, int]:
        """Return the `Chain` of the registry's constructor."""
        sizes = self.sizes
        return (
            self.deposit_contract,
            self.genesis_time,
            self.seconds_per_slot,
            sizes.slots_per_epoch,
            sizes.epochs_per_slashings_vector,
        )

    def clock(self) -> tuple[int, int, int]:
        """Return the `Chain` of the oracle's constructor."""
        return self.genesis_time, self.seconds_per_slot, self.sizes.slots_per_epoch

    def fork_rows(self) -> list[tuple[int, int, int]]:
        """Return the registry's table: first slot, gindex of validators[0], gindex of the chunk of balances[0]."""
        sizes = self.sizes
        named = [(name, self.forks[name]) for name in FORKS if name in self.forks]
        return [(epoch * sizes.slots_per_epoch, *gindices(name, sizes)) for name, epoch in named]


class Limits(_Strict):
    """The oracle's live limits: as in `IReportOracle.Parameters`, in the same order."""

    frame_epochs: Annotated[int, Field(ge=1)]
    max_age: Annotated[int, Field(ge=HOUR, le=MAX_DELAY - HOUR)]
    """Seconds."""
    resolve_time: Annotated[int, Field(ge=HOUR, le=MAX_DELAY - HOUR)]
    """Seconds."""
    loss_bps: Annotated[int, Field(ge=MIN_LOSS_BPS, le=MAX_LOSS_BPS)]
    window_bps: Annotated[int, Field(ge=MIN_LOSS_BPS, le=MAX_WINDOW_BPS)]
    window: Annotated[int, Field(ge=MIN_WINDOW, le=MAX_WINDOW)]
    """Seconds."""
    alarm_bps: Annotated[int, Field(ge=MIN_ALARM_BPS, le=MAX_ALARM_BPS)]

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.max_age + self.resolve_time > MAX_DELAY:
            raise PydanticCustomError("delay", "max_age and resolve_time together must not exceed two days")
        if self.window_bps < self.loss_bps:
            raise PydanticCustomError("order", "loss_bps must not exceed window_bps")
        return self

    def as_tuple(self) -> tuple[int, ...]:
        """Return the values in the order of the struct."""
        return tuple(getattr(self, name) for name in type(self).model_fields)


class _Naming(_Strict):
    """A section that names accounts."""

    def resolved(self, deployer: str) -> Self:
        """Put addresses in the place of the words "deployer" and "anyone"."""
        address: dict[Any, str] = {DEPLOYER: deployer, ANYONE: ZERO_ADDRESS}
        values: dict[str, Any] = {
            name: [address.get(one, one) for one in value] if isinstance(value, list) else address.get(value, value)
            for name, value in self
        }
        return self.model_construct(None, **values)


class Oracle(_Naming):
    """The committee whose reports are booked, and the limits within which it is believed."""

    members: Annotated[list[Account], Field(min_length=1, max_length=MAX_MEMBERS)]
    quorum: Annotated[int, Field(ge=1)]
    limits: Limits

    @model_validator(mode="after")
    def _majority(self) -> Self:
        if len(set(self.members)) < len(self.members):
            raise PydanticCustomError("members", "a member is named twice")
        if not len(self.members) < 2 * self.quorum <= 2 * len(self.members):
            raise PydanticCustomError(
                "quorum", "the quorum must be more than half of the members, and not more than all"
            )
        return self


class Fees(_Naming):
    """How fees are split; what is neither the treasury's nor kept to cover losses is the operators'."""

    treasury: Account
    treasury_bps: Annotated[int, Field(ge=0, le=MAX_TREASURY_BPS)]
    cover_bps: Annotated[int, Field(ge=0, le=MAX_COVER_BPS)]

    def parts(self) -> tuple[int, int]:
        """Return the splitter's `Parts`."""
        return self.treasury_bps, self.cover_bps


class Reserve(_Strict):
    """The exit reserve's live parameters: as in `IExitReserve.Parameters`, in the same order."""

    fee_min: Annotated[int, Field(ge=0)]
    fee_max: Annotated[int, Field(ge=0, le=MAX_RESERVE_FEE)]
    target: Annotated[int, Field(ge=0, le=U96)]
    """Wei."""
    of_value: bool
    min_ticket: Annotated[int, Field(ge=LOWEST_MIN_TICKET, le=HIGHEST_MIN_TICKET)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.fee_min > self.fee_max:
            raise PydanticCustomError("order", "fee_min must not exceed fee_max")
        return self

    def as_tuple(self) -> tuple[int | bool, ...]:
        """Return the values in the order of the struct."""
        return tuple(getattr(self, name) for name in type(self).model_fields)


class Pair(_Strict):
    """The pair's fees and its amplification, in the order of the constructor."""

    fee: Annotated[int, Field(ge=MIN_PAIR_FEE, le=MAX_PAIR_FEE)]
    off_peg: Annotated[int, Field(ge=MIN_OFF_PEG, le=MAX_OFF_PEG)]
    admin_ppm: Annotated[int, Field(ge=0, le=MAX_ADMIN_PPM)]
    amplification: Annotated[int, Field(ge=MIN_AMPLIFICATION, le=MAX_AMPLIFICATION)]
    """Hundredths."""

    def as_tuple(self) -> tuple[int, ...]:
        """Return the values in the order of the constructor."""
        return tuple(getattr(self, name) for name in type(self).model_fields)


class Liquidity(_Strict):
    """The market for the token. What the pair's trades earn beyond its providers' part goes to the treasury."""

    weth: Weth
    reserve: Reserve
    pair: Pair


class Roles(_Naming):
    """Who else may do what."""

    council: Account
    """Adds operators and sets their weights; decides on reports outside the limits; covers losses out of fees."""
    keepers: Annotated[list[Account], Field(max_length=16)]
    """May ask for withdrawals at any time, and for consolidations."""
    proposers: Annotated[list[Account], Field(min_length=1, max_length=255)]
    executors: Annotated[list[Account], Field(min_length=1, max_length=255)]
    pause_keys: Annotated[list[Account], Field(max_length=16)]
    resumers: Annotated[list[Account], Field(max_length=16)]


class Config(_Strict):
    """What one network gets."""

    chain_id: Annotated[int, Field(gt=0)]
    confirmations: Annotated[int, Field(ge=0, le=64)]
    """Blocks on top of a deployment before the next one is sent; 0 on a chain that mines only on demand."""
    seed: Annotated[int, Field(ge=MIN_SEED, le=10**18)]
    """Wei that the deployer pays for shares that nobody owns."""
    deposit_ceiling_gwei: Annotated[int, Field(ge=0, le=MAX_CEILING_GWEI)]
    timelock_delay: Annotated[int, Field(ge=MIN_DELAY, le=365 * 86_400)]
    """Seconds."""
    parameters: Parameters
    registry: Registry
    beacon: Beacon
    oracle: Oracle
    fees: Fees
    liquidity: Liquidity
    roles: Roles

    @model_validator(mode="after")
    def _punctual(self) -> Self:
        """Check what is counted in epochs against what is counted in seconds."""
        limits, epoch = self.oracle.limits, self.beacon.sizes.slots_per_epoch * self.beacon.seconds_per_slot
        frame = limits.frame_epochs * epoch
        if frame > MAX_FRAME:
            raise PydanticCustomError("frame", "oracle.limits.frame_epochs: a frame must not be longer than seven days")
        if limits.max_age < FINALITY * epoch:
            raise PydanticCustomError(
                "age",
                f"oracle.limits.max_age must be at least {FINALITY} epochs, {FINALITY * epoch} seconds by "
                "beacon.seconds_per_slot",
            )
        if self.parameters.stale_after < (least := frame + limits.max_age + limits.resolve_time):
            raise PydanticCustomError(
                "stale",
                f"parameters.stale_after must be at least a frame, max_age and resolve_time together, {least} seconds: "
                "an oracle whose report came late, and was held, is not stale",
            )
        return self

    @model_validator(mode="after")
    def _no_hot_key(self) -> Self:
        sections = {"oracle": self.oracle, "fees": self.fees, "roles": self.roles}
        named = [
            f"{section}.{name}"
            for section, content in sections.items()
            for name, value in content
            if DEPLOYER in (value if isinstance(value, list) else [value])
        ]
        if self.chain_id == 1 and named:
            raise PydanticCustomError("deployer", f"on mainnet the deployer may hold no role: {', '.join(named)}")
        return self

    @model_validator(mode="after")
    def _one_weth(self) -> Self:
        if self.chain_id == 1 and self.liquidity.weth == DEPLOY:
            raise PydanticCustomError("weth", "liquidity.weth: mainnet has one; name its address")
        return self

    def digest(self) -> str:
        """Digest (hex) of all values: the same for the same deployment."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def networks(folder: Path = FOLDER) -> list[str]:
    """Return the networks that have a parameter file; `*.example.yaml` are files of other programs."""
    return sorted(path.stem for path in folder.glob("*.yaml") if "." not in path.stem)


def load(network: str, folder: Path = FOLDER) -> Config:
    """Read the parameter file of a network; a fork takes that of the network it forks. Raises ConfigError."""
    file = folder / f"{network.removesuffix('-fork')}.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(networks(folder)) or "none"
        raise ConfigError(f"{file}: there is no such file (there are: {known})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {error}") from None
    return parse(content, file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else str(file))


def parse(content: object, name: str = "config") -> Config:
    """Check the content of a parameter file. Raises ConfigError that lists every problem, one on a line."""
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        lines = [f"{name}: {_place(problem['loc'])}{problem['msg']}" for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _place(path: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return f"{text}: " if text else ""
