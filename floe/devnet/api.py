"""The Beacon API and the controls, over HTTP on this machine.

Paths, shapes and errors of the Beacon API are those of the Ethereum beacon-APIs specification (v2 and v3 of 2024-25):
numbers as decimal strings, bytes as 0x hex, `{"code", "message"}` with the status for errors. The controls are JSON
under /floe/v1/.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from remerkleable.basic import boolean
from remerkleable.bitfields import BitsView
from remerkleable.complex import Container

from floe.devnet.chain import Chain, ChainError, unhex
from floe.devnet.execution import ExecutionError, UnsupportedError

OCTETS = "application/octet-stream"
VERSION = "Floe-devnet/v1 (executable consensus specs)"


@dataclass
class Request:
    """What a handler needs of an HTTP request."""

    query: dict[str, list[str]]
    body: Any
    wants_ssz: bool

    def listed(self, name: str) -> list[str]:
        """Return the values of a parameter, which may be repeated or joined by commas."""
        return [each for value in self.query.get(name, []) for each in value.split(",") if each]


@dataclass
class Ssz:
    """An answer as SSZ bytes."""

    data: bytes


Handler = Callable[..., Any]


class Api:
    """Handlers by path. One at a time works on the chain."""

    def __init__(self, chain: Chain, execution_url: str, stop: Callable[[str], None]) -> None:
        self.chain, self.execution_url, self._stop = chain, execution_url, stop
        self.lock = threading.RLock()
        state, block = "/eth/v1/beacon/states/{}", "/eth/v2/beacon/blocks/{}"
        self.routes: list[tuple[str, re.Pattern[str], Handler]] = []
        for method, path, handler in (
            ("GET", "/eth/v1/node/health", lambda _: None),
            ("GET", "/eth/v1/node/version", lambda _: {"data": {"version": VERSION}}),
            ("GET", "/eth/v1/node/syncing", self.syncing),
            ("GET", "/eth/v1/config/spec", self.config),
            ("GET", "/eth/v1/config/deposit_contract", self.deposit_contract),
            ("GET", "/eth/v1/config/fork_schedule", lambda _: {"data": [to_json(chain.world.ahead.fork)]}),
            ("GET", "/eth/v1/beacon/genesis", self.genesis),
            ("GET", "/eth/v1/beacon/headers", self.headers),
            ("GET", "/eth/v1/beacon/headers/{}", self.header),
            ("GET", "/eth/v1/beacon/blocks/{}/root", self.block_root),
            ("GET", block, self.block),
            ("GET", f"{state}/root", self.state_root),
            ("GET", f"{state}/fork", self.fork),
            ("GET", f"{state}/finality_checkpoints", self.finality_checkpoints),
            ("GET", f"{state}/validators", self.validators),
            ("POST", f"{state}/validators", self.validators),
            ("GET", f"{state}/validators/{{}}", self.validator),
            ("GET", f"{state}/validator_balances", self.validator_balances),
            ("POST", f"{state}/validator_balances", self.validator_balances),
            ("GET", f"{state}/pending_deposits", self.queue("pending_deposits")),
            ("GET", f"{state}/pending_partial_withdrawals", self.queue("pending_partial_withdrawals")),
            ("GET", f"{state}/pending_consolidations", self.queue("pending_consolidations")),
            ("GET", "/eth/v2/debug/beacon/states/{}", self.debug_state),
            ("GET", "/eth/v1/beacon/pool/voluntary_exits", lambda _: {"data": to_json(list(chain.world.exits))}),
            ("POST", "/eth/v1/beacon/pool/voluntary_exits", self.submit_exit),
            ("GET", "/floe/v1/info", self.info),
            ("POST", "/floe/v1/advance", self.advance),
            ("POST", "/floe/v1/offline", self.offline),
            ("POST", "/floe/v1/miss", self.miss),
            ("POST", "/floe/v1/finality", self.finality),
            ("POST", "/floe/v1/slash", self.slash),
            ("POST", "/floe/v1/drop_requests", self.drop_requests),
            ("POST", "/floe/v1/keys", self.keys),
            ("POST", "/floe/v1/deposit_data", self.deposit_data),
            ("POST", "/floe/v1/exit", self.exit),
            ("POST", "/floe/v1/fee_recipient", self.fee_recipient),
            ("POST", "/floe/v1/snapshot", lambda _: {"snapshot": chain.snapshot()}),
            ("POST", "/floe/v1/restore", self.restore),
        ):
            self.routes.append((method, re.compile(path.replace("{}", "([^/]+)")), handler))

    def answer(self, method: str, target: str, request: Request) -> Any:
        """Return the answer to a request: JSON, Ssz or None. Raises ChainError with the status."""
        found = [(verb, handler, match) for verb, path, handler in self.routes if (match := path.fullmatch(target))]
        if not found:
            raise ChainError(f"nothing is served at {target}", 404)
        if target.startswith("/floe/") and not isinstance(request.body, dict):
            raise ChainError("the body is not a JSON object")
        for verb, handler, match in found:
            if verb == method:
                with self.lock:
                    return handler(request, *map(unquote, match.groups()))
        raise ChainError(f"{method} is not for {target}", 405)

    # --- node, configuration, genesis ---

    def syncing(self, _: Request) -> Any:
        """Never syncing: this is the only node."""
        return {
            "data": {
                "head_slot": str(self.chain.slot),
                "sync_distance": "0",
                "is_syncing": False,
                "is_optimistic": False,
                "el_offline": False,
            }
        }

    def config(self, _: Request) -> Any:
        """Return configuration and preset."""
        spec = self.chain.spec
        settings = {name: to_json(value) for name, value in spec.config._asdict().items()}
        preset = {
            name: to_json(value)
            for name, value in vars(spec).items()
            if name.isupper() and isinstance(value, int | bytes) and not isinstance(value, bool)
        }
        seconds = str(self.chain.settings.seconds_per_slot)
        return {"data": {**preset, **settings, "CONFIG_NAME": "floe-devnet", "SECONDS_PER_SLOT": seconds}}

    def deposit_contract(self, _: Request) -> Any:
        """Where deposits go."""
        config = self.chain.spec.config
        address = to_json(config.DEPOSIT_CONTRACT_ADDRESS)
        return {"data": {"chain_id": str(int(config.DEPOSIT_CHAIN_ID)), "address": address}}

    def genesis(self, _: Request) -> Any:
        """Time, validators' root and fork version."""
        state = self.chain.world.ahead
        return {
            "data": {
                "genesis_time": to_json(state.genesis_time),
                "genesis_validators_root": to_json(state.genesis_validators_root),
                "genesis_fork_version": to_json(self.chain.spec.config.GENESIS_FORK_VERSION),
            }
        }

    # --- blocks ---

    def headers(self, request: Request) -> Any:
        """Headers by slot or parent root; the head's without either."""
        world = self.chain.world
        slots, parents = request.listed("slot"), request.listed("parent_root")
        if not slots and not parents:
            return self._wrap([self._header(self.chain.head)], self.chain.head)
        if not all(slot.isdecimal() for slot in slots):
            raise ChainError(f"slot is not a number: {slots[0]}")
        wanted_parents = [unhex(parent, 32) for parent in parents]
        found = [
            root
            for root, signed in world.blocks.items()
            if (not slots or str(int(signed.message.slot)) in slots)
            and (not parents or bytes(signed.message.parent_root) in wanted_parents)
        ]
        return {
            "data": [self._header(root) for root in found],
            "execution_optimistic": False,
            "finalized": all(self.chain.is_finalized(int(world.blocks[root].message.slot)) for root in found),
        }

    def header(self, _: Request, name: str) -> Any:
        """Header of a block."""
        root = self.chain.block_root(name)
        return self._wrap(self._header(root), root)

    def block_root(self, _: Request, name: str) -> Any:
        """Root of a block."""
        root = self.chain.block_root(name)
        return self._wrap({"root": "0x" + root.hex()}, root)

    def block(self, request: Request, name: str) -> Any:
        """Return a block, as JSON or SSZ."""
        root = self.chain.block_root(name)
        signed = self.chain.world.blocks[root]
        if request.wants_ssz:
            return Ssz(signed.encode_bytes())
        return {"version": self.chain.settings.fork, **self._wrap(to_json(signed), root)}

    # --- states ---

    def state_root(self, _: Request, name: str) -> Any:
        """Root of a state."""
        return self._of_state(name, lambda state: {"root": to_json(state.hash_tree_root())})

    def finality_checkpoints(self, _: Request, name: str) -> Any:
        """Previous and current justified, and finalized checkpoint."""

        def read(state: Any) -> Any:
            return {
                "previous_justified": to_json(state.previous_justified_checkpoint),
                "current_justified": to_json(state.current_justified_checkpoint),
                "finalized": to_json(state.finalized_checkpoint),
            }

        return self._of_state(name, read)

    def fork(self, _: Request, name: str) -> Any:
        """Versions of a state's fork."""
        return self._of_state(name, lambda state: to_json(state.fork))

    def queue(self, field: str) -> Handler:
        """Make a handler that returns one of a state's queues."""
        version = {"version": self.chain.settings.fork}
        return lambda _, name: version | self._of_state(name, lambda state: to_json(getattr(state, field)))

    def validators(self, request: Request, name: str) -> Any:
        """Return validators, all or by `id` and `status`."""
        ids, statuses = self._filters(request)

        def read(state: Any) -> Any:
            found = [self._validator(state, index) for index in self._selected(state, ids)]
            return [each for each in found if not statuses or {each["status"], _family(each["status"])} & statuses]

        return self._of_state(name, read)

    def validator(self, _: Request, name: str, validator: str) -> Any:
        """One validator."""

        def read(state: Any) -> Any:
            if not (found := self._selected(state, [validator])):
                raise ChainError(f"validator not found: {validator}", 404)
            return self._validator(state, found[0])

        return self._of_state(name, read)

    def validator_balances(self, request: Request, name: str) -> Any:
        """Balances, of all validators or by `id`."""
        ids, _ = self._filters(request)

        def read(state: Any) -> Any:
            found = self._selected(state, ids)
            return [{"index": str(index), "balance": to_json(state.balances[index])} for index in found]

        return self._of_state(name, read)

    def debug_state(self, request: Request, name: str) -> Any:
        """Return a whole state, as JSON or SSZ."""
        if request.wants_ssz:
            return Ssz(self.chain.state(name).encode_bytes())
        return {"version": self.chain.settings.fork, **self._of_state(name, to_json)}

    def submit_exit(self, request: Request) -> Any:
        """Take a signed voluntary exit into the pool."""
        spec = self.chain.spec
        try:
            message = request.body["message"]
            exit_ = spec.SignedVoluntaryExit(
                message=spec.VoluntaryExit(
                    epoch=int(message["epoch"]), validator_index=int(message["validator_index"])
                ),
                signature=unhex(request.body["signature"], 96),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ChainError(f"not a SignedVoluntaryExit: {error!r}") from None
        self.chain.add_exit(exit_)

    # --- controls ---

    def info(self, _: Request) -> Any:
        """Say where the chain is."""
        return {"slot": self.chain.slot, "execution_url": self.execution_url, "settings": self.chain.settings.as_dict()}

    def advance(self, request: Request) -> Any:
        """Make slots."""
        if self.chain.settings.by_clock:
            raise ChainError("this devnet goes by the clock")
        slots = _number(request, "slots") + _number(request, "epochs") * int(self.chain.spec.SLOTS_PER_EPOCH)
        for _ in range(slots):
            self.step()
        return {"slot": self.chain.slot}

    def step(self) -> None:
        """Make a slot. What fails in it leaves the two chains apart, so the process ends."""
        with self.lock:
            try:
                self.chain.advance()
            except Exception as error:
                self._stop(f"slot {self.chain.slot + 1} failed: {error}")
                raise

    def offline(self, request: Request) -> Any:
        """Set who is offline."""
        self.chain.world.offline = frozenset(map(self.chain.pubkey, _list(request, "validators")))
        return {}

    def miss(self, request: Request) -> Any:
        """Set how many slots will have no block."""
        self.chain.world.misses = _number(request, "slots")
        return {}

    def finality(self, request: Request) -> Any:
        """Stop or resume attestations."""
        self.chain.world.attesting = bool(request.body.get("on"))
        return {}

    def slash(self, request: Request) -> Any:
        """Slash validators in the next block."""
        self.chain.slash(_list(request, "validators"))
        return {}

    def drop_requests(self, request: Request) -> Any:
        """Drop requests to come."""
        self.chain.drop_requests(_number(request, "count"))
        return {}

    def keys(self, request: Request) -> Any:
        """Run more validators."""
        try:
            keys, secrets = ([int(each) for each in _list(request, name)] for name in ("keys", "secrets"))
        except ValueError as error:
            raise ChainError(str(error)) from None
        return {"pubkeys": ["0x" + pubkey.hex() for pubkey in self.chain.add_secrets(keys, secrets)]}

    def deposit_data(self, request: Request) -> Any:
        """Sign a deposit."""
        credentials = unhex(str(request.body.get("credentials")), 32)
        data = self.chain.deposit_data(_number(request, "key"), credentials, _number(request, "amount_gwei"))
        names = ("pubkey", "withdrawal_credentials", "signature")
        return {name: to_json(getattr(data, name)) for name in names} | {
            "deposit_data_root": to_json(data.hash_tree_root())
        }

    def exit(self, request: Request) -> Any:
        """Sign a voluntary exit into the pool."""
        self.chain.add_exit(self.chain.sign_exit(str(request.body.get("validator"))))
        return {}

    def fee_recipient(self, request: Request) -> Any:
        """Set where tips go."""
        address = unhex(str(request.body.get("address")), 20)
        names = request.body.get("validators")
        keys = [b""] if names is None else [self.chain.pubkey(each) for each in names]
        self.chain.world.fee_recipients |= dict.fromkeys(keys, address)
        self.chain.prepare()
        return {}

    def restore(self, request: Request) -> Any:
        """Return to a snapshot."""
        self.chain.restore(str(request.body.get("snapshot")))
        return {"slot": self.chain.slot}

    # --- internal ---

    def _wrap(self, data: Any, root: bytes) -> dict[str, Any]:
        slot = int(self.chain.world.blocks[root].message.slot)
        return {"execution_optimistic": False, "finalized": self.chain.is_finalized(slot), "data": data}

    def _of_state(self, name: str, read: Callable[[Any], Any]) -> dict[str, Any]:
        state = self.chain.state(name)
        finalized = self.chain.is_finalized(int(state.slot))
        return {"execution_optimistic": False, "finalized": finalized, "data": read(state)}

    def _header(self, root: bytes) -> Any:
        signed = self.chain.world.blocks[root]
        message = {name: to_json(getattr(signed.message, name)) for name in signed.message.fields() if name != "body"}
        message["body_root"] = to_json(signed.message.body.hash_tree_root())
        header = {"message": message, "signature": to_json(signed.signature)}
        return {"root": "0x" + root.hex(), "canonical": True, "header": header}

    def _filters(self, request: Request) -> tuple[list[str] | None, set[str]]:
        """Return the ids (None: all) and statuses of a GET or a POST."""
        body = request.body if isinstance(request.body, dict) else {"ids": request.body}
        ids = request.listed("id") + [str(each) for each in body.get("ids") or []]
        statuses = set(request.listed("status")) | set(body.get("statuses") or [])
        if unknown := statuses - STATUSES - {_family(status) for status in STATUSES}:
            raise ChainError(f"unknown validator status: {sorted(unknown)[0]}")
        return ids or None, statuses

    def _selected(self, state: Any, ids: list[str] | None) -> list[int]:
        """Return indices of validators by index or key; those that do not exist are left out, as the API says."""
        if ids is None:
            return list(range(len(state.validators)))
        by_key: dict[bytes, int] = {}
        if any(each.startswith("0x") for each in ids):
            by_key = {bytes(validator.pubkey): index for index, validator in enumerate(state.validators)}
        found = set()
        for each in ids:
            if each.startswith("0x"):
                found.add(by_key.get(unhex(each, 48), -1))
            elif each.isdecimal():
                found.add(int(each))
            else:
                raise ChainError(f"validator id is neither an index nor a public key: {each}")
        return sorted(index for index in found if 0 <= index < len(state.validators))

    def _validator(self, state: Any, index: int) -> Any:
        validator = state.validators[index]
        epoch = int(self.chain.spec.get_current_epoch(state))
        balance = int(state.balances[index])
        return {
            "index": str(index),
            "balance": str(balance),
            "status": _status(validator, balance, epoch, int(self.chain.spec.FAR_FUTURE_EPOCH)),
            "validator": to_json(validator),
        }


STATUSES = {
    "pending_initialized",
    "pending_queued",
    "active_ongoing",
    "active_exiting",
    "active_slashed",
    "exited_unslashed",
    "exited_slashed",
    "withdrawal_possible",
    "withdrawal_done",
}


def _status(validator: Any, balance: int, epoch: int, far: int) -> str:
    """Return the validator's status as the Beacon API defines it."""
    if validator.activation_epoch > epoch:
        return "pending_initialized" if validator.activation_eligibility_epoch == far else "pending_queued"
    if validator.exit_epoch > epoch:
        if validator.exit_epoch == far:
            return "active_ongoing"
        return "active_slashed" if validator.slashed else "active_exiting"
    if validator.withdrawable_epoch > epoch:
        return "exited_slashed" if validator.slashed else "exited_unslashed"
    return "withdrawal_possible" if balance else "withdrawal_done"


def _family(status: str) -> str:
    return status.partition("_")[0]


def _number(request: Request, name: str) -> int:
    value = request.body.get(name, 0)
    if not isinstance(value, int) or value < 0:
        raise ChainError(f"{name} is not a number from 0 on: {value!r}")
    return value


def _list(request: Request, name: str) -> list[str]:
    value = request.body.get(name, [])
    if not isinstance(value, list):
        raise ChainError(f"{name} is not a list: {value!r}")
    return [str(each) for each in value]


def to_json(value: Any) -> Any:
    """Return an SSZ value, or what the specs' configuration holds, as the Beacon API writes it."""
    match value:
        case boolean() | bool():
            return bool(value)
        case int():
            return str(int(value))
        case bytes():
            return "0x" + value.hex()
        case BitsView():
            return "0x" + value.encode_bytes().hex()
        case Container():
            return {name: to_json(getattr(value, name)) for name in value.fields()}
        case str():
            return value
        case Mapping():
            return {name: to_json(each) for name, each in value.items()}
        case _:
            return [to_json(each) for each in value]


class Server(ThreadingHTTPServer):
    """Serves an Api on 127.0.0.1."""

    daemon_threads = True

    def __init__(self, api: Api, port: int) -> None:
        self.api = api
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise an answer waits for the acknowledgement of its own headers.
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, *_: Any) -> None:
        """Keep the log for what goes wrong."""

    def _serve(self, method: str) -> None:
        try:
            self._reply(200, self.server.api.answer(method, urlsplit(self.path).path, self._request()))
        except ChainError as error:
            self._fail(error.status, str(error))
        except UnsupportedError as error:
            self._fail(501, str(error))
        except ExecutionError as error:
            self._fail(502, str(error))
        except BrokenPipeError:
            self.close_connection = True
        except Exception as error:
            self.log_error("%s", error)
            self._fail(500, f"{type(error).__name__}: {error}")

    def _request(self) -> Request:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(text) if text else {}
        except ValueError:
            raise ChainError("the body is not JSON") from None
        accepted = self.headers.get("Accept", "")
        return Request(parse_qs(urlsplit(self.path).query), body, accepted.startswith(OCTETS))

    def _fail(self, status: int, message: str) -> None:
        self._reply(status, {"code": status, "message": message})

    def _reply(self, status: int, answer: Any) -> None:
        ssz = isinstance(answer, Ssz)
        data = answer.data if ssz else b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", OCTETS if ssz else "application/json")
        self.send_header("Content-Length", str(len(data)))
        if ssz or (isinstance(answer, dict) and "version" in answer):
            self.send_header("Eth-Consensus-Version", self.server.api.chain.settings.fork)
        self.end_headers()
        self.wfile.write(data)
