// SPDX-License-Identifier: AGPL-3.0-only
pragma solidity ^0.8.30;

import {IPool, IQueue, IRebasing, IVault, Parameters, Setup, Vm} from "./Interfaces.sol";

/// Stands in for the validator registry: passes the pool's ETH on to the beacon chain.
contract Registry {
    address constant BEACON = address(0xBEAC04);

    receive() external payable {
        (bool ok,) = BEACON.call{value: msg.value}("");
        require(ok);
    }
}

/// A holder that takes no ETH and no tickets.
contract Rejecter {}

/// A holder that calls back whoever pays it. Every such call meets a lock, so none may succeed.
contract Reenterer {
    bool public breached;
    uint256 turn;

    receive() external payable {
        callBack();
    }

    function onERC721Received(address, address, uint256, bytes calldata) external returns (bytes4) {
        callBack();
        return this.onERC721Received.selector;
    }

    function callBack() internal {
        bytes[6] memory calls = [
            abi.encodeCall(IPool.balanceOf, (address(this))),
            abi.encodeCall(IPool.transferFrom, (address(this), address(1), 1)),
            abi.encodeCall(IQueue.claim, (1, 0)),
            abi.encodeCall(IPool.fulfil, (type(uint256).max)),
            abi.encodeCall(IPool.totalSupply, ()),
            abi.encodeCall(IQueue.request, (1, address(this)))
        ];
        (bool ok,) = msg.sender.call(calls[turn++ % calls.length]);
        if (ok) breached = true;
    }
}

/// The contracts under test, deployed from what the Vyper compiler made, and an independent ledger of what they should
/// hold, written from the design. Handlers move both; `check` compares them.
abstract contract World {
    /// All of the pool's own numbers: wei, shares, seconds.
    struct Books {
        uint256 shares;
        uint256 assets;
        uint256 depositPause;
        uint256 lossy;
        uint256 inDeficit;
        uint256 locked; // at `start`
        uint256 start;
        uint256 end;
        uint256 ceilingGwei;
        uint256 outside;
        uint256 pending;
        uint256 fulfilPause;
        uint256 deficit;
        uint256 reportAt;
        uint256 allowance;
        uint256 instantPause;
        uint256 waiting;
        uint256 eligible;
        uint256 staleAt;
        uint256 deposited;
        uint256 withdrawn;
        uint256 raised; // Gwei
        uint256 donated;
    }

    struct Ticket {
        address owner;
        address approved;
        uint256 start;
        uint256 end;
        uint256 claimed; // position on the line
    }

    /// What an honest oracle sees at one slot.
    struct Sight {
        uint256 cl;
        uint256 deposited;
        uint256 withdrawn;
        uint256 donated;
        uint256 raised;
        uint256 tail;
    }

    /// Prices before a step, to compare with those after it.
    struct Prices {
        uint256 shares;
        uint256 entry;
        uint256 exit;
    }

    struct Paid {
        bool ok;
        uint256 ether_;
        uint256 returned;
    }

    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    uint256 internal constant BPS = 10_000;
    uint256 internal constant PPM = 1_000_000;
    uint256 internal constant YEAR = 365 days;
    uint256 internal constant U96 = 2 ** 96 - 1;
    // An account, not the contract: how reports are agreed on and limited is the fuzz campaign's to check.
    address internal constant ORACLE = address(0x04AC1E);
    address internal constant PAUSER = address(0x9A05E4);
    address internal constant OUTSIDER = address(0x0051DE);

    IPool public pool;
    IQueue public queue;
    IRebasing public rebasing;
    address internal withdrawalVault;
    address internal executionVault;
    address internal registry;
    address internal admin;
    Reenterer internal reenterer;
    uint256 internal seed;

    address[] internal actors; // the first four have keys
    uint256[] internal keys;
    address[] internal holders; // whoever may hold shares
    address internal feeRecipient;

    Books internal g;
    Parameters internal p;
    mapping(address => uint256) internal shares; // those of the queue are in `g.waiting`
    mapping(address => uint256) internal wrapped;
    mapping(address => mapping(address => uint256)) internal allowed;
    mapping(address => mapping(address => uint256)) internal rebasingAllowed; // wei
    mapping(address => uint256) internal nonces;

    Ticket[] internal tickets; // numbered from 1
    mapping(address => mapping(address => bool)) internal operators;
    uint256[] internal curveShares;
    uint256[] internal curveEther;
    uint256 internal paidOut; // wei, by the queue

    // The chain outside.
    uint256 internal beacon; // wei of our validators and of deposits on their way
    uint256 internal withdrawnCl;
    uint256 internal gifts;
    uint256 internal forcedToQueue;
    Sight internal sight;
    uint256 internal steps;

    constructor() {
        for (uint256 key = 1; key <= 4; key++) {
            keys.push(key);
            actors.push(vm.addr(key));
        }
        reenterer = new Reenterer();
        actors.push(address(new Rejecter()));
        actors.push(address(reenterer));
        feeRecipient = address(0xFEE);

        p = Parameters(1_000, 2_000, 500, 400, 300, 20_000, 1 days, 3 days);
        g.ceilingGwei = 5_000_000 * 10 ** 9;
        seed = 1 gwei;
        deploy(vm.readFile(vm.envString("FLOE_ARTIFACTS")));

        g.shares = seed;
        g.assets = seed;
        g.reportAt = block.timestamp;
        shares[address(pool)] = seed;
        tickets.push(Ticket(address(0), address(0), 0, 0, 0));
        curveShares.push(0);
        curveEther.push(0);
        holders = actors;
        holders.push(feeRecipient);
        holders.push(address(pool));
        holders.push(address(rebasing));
        for (uint256 i = 0; i < actors.length; i++) {
            vm.prank(actors[i]);
            pool.approve(address(rebasing), type(uint256).max);
        }
    }

    function deploy(string memory code) internal {
        registry = address(new Registry());
        admin = address(new Rejecter()); // only has to be a contract
        // A contract's first creation has nonce 1; four are done.
        uint256 nonce = 5;
        address poolAt = predict(nonce + 2);
        withdrawalVault = create(abi.encodePacked(vm.parseJsonBytes(code, ".WithdrawalVault"), abi.encode(poolAt)), 0);
        executionVault = create(abi.encodePacked(vm.parseJsonBytes(code, ".ExecutionVault"), abi.encode(poolAt)), 0);
        Setup memory setup = Setup(
            predict(nonce + 3),
            withdrawalVault,
            executionVault,
            admin,
            ORACLE,
            registry,
            PAUSER,
            feeRecipient,
            g.ceilingGwei,
            p
        );
        vm.deal(address(this), seed);
        pool = IPool(create(abi.encodePacked(vm.parseJsonBytes(code, ".FloePool"), abi.encode(setup)), seed));
        queue = IQueue(create(abi.encodePacked(vm.parseJsonBytes(code, ".WithdrawalQueue"), abi.encode(pool)), 0));
        rebasing = IRebasing(create(abi.encodePacked(vm.parseJsonBytes(code, ".RebasingToken"), abi.encode(pool)), 0));
        require(address(pool) == poolAt, "the pool is elsewhere");
    }

    function create(bytes memory code, uint256 value) internal returns (address made) {
        assembly {
            made := create(value, add(code, 32), mload(code))
        }
        require(made != address(0), "a contract was not deployed");
    }

    function predict(uint256 nonce) internal view returns (address) {
        require(nonce < 0x80, "RLP of a small nonce");
        bytes memory rlp = abi.encodePacked(bytes2(0xd694), address(this), bytes1(uint8(nonce)));
        return address(uint160(uint256(keccak256(rlp))));
    }

    // ---- values --------------------------------------------------------------------------------------

    function lockedNow() internal view returns (uint256) {
        return block.timestamp >= g.end ? 0 : g.locked * (g.end - block.timestamp) / (g.end - g.start);
    }

    function entryValue() internal view returns (uint256) {
        return g.assets - lockedNow();
    }

    function exitValue() internal view returns (uint256) {
        uint256 value = entryValue();
        return value > g.pending ? value - g.pending : 0;
    }

    function bufferNow() internal view returns (uint256) {
        return g.assets - g.outside;
    }

    function freeNow() internal view returns (uint256) {
        uint256 needed = up(g.waiting * exitValue(), g.shares);
        return bufferNow() > needed ? bufferNow() - needed : 0;
    }

    function stakeableNow() internal view returns (uint256) {
        uint256 target = g.assets * p.targetBps / BPS;
        return g.depositPause <= block.timestamp && freeNow() > target ? freeNow() - target : 0;
    }

    function tailNow() internal view returns (uint256) {
        return tickets[tickets.length - 1].end;
    }

    function filledNow() internal view returns (uint256) {
        return curveShares[curveShares.length - 1];
    }

    function paidIn() internal view returns (uint256) {
        return curveEther[curveEther.length - 1];
    }

    /// The curve at a position of the line: a walk along its points.
    function curveAt(uint256 position) internal view returns (uint256) {
        if (position == 0) return 0;
        uint256 i = 1;
        while (curveShares[i] < position) i++;
        uint256 width = curveShares[i] - curveShares[i - 1];
        return curveEther[i - 1] + (position - curveShares[i - 1]) * (curveEther[i] - curveEther[i - 1]) / width;
    }

    /// The segment of the share at a position, 0 when it is not filled yet.
    function segmentOf(uint256 position) internal view returns (uint256) {
        if (position >= filledNow()) return 0;
        uint256 i = 1;
        while (curveShares[i] <= position) i++;
        return i;
    }

    function up(uint256 numerator, uint256 denominator) internal pure returns (uint256) {
        return (numerator + denominator - 1) / denominator;
    }

    function least(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }

    function look() internal view returns (Sight memory) {
        return Sight(beacon, g.deposited, withdrawnCl, gifts, g.raised, tailNow());
    }

    // ---- steps ---------------------------------------------------------------------------------------

    /// INV-04: outside a report nothing lowers a price.
    modifier step() {
        Prices memory before = prices();
        _;
        keepPrices(before);
        // Promise 1: and nothing but time raises one, by more than two roundings.
        uint256 rounding = 2 * (before.entry > before.shares ? before.entry : before.shares);
        uint256 most = before.entry * g.shares + rounding;
        require(entryValue() * before.shares <= most, "promise 1: the entry rate jumped");
        check();
    }

    modifier timeStep() {
        Prices memory before = prices();
        uint256 from = block.timestamp;
        uint256 span = g.end > from ? g.end - g.start : 1;
        _;
        keepPrices(before);
        uint256 most = g.locked * (block.timestamp - from) / span + 1;
        require(entryValue() - before.entry <= most, "promise 1: more was streamed than the time allows");
        check();
    }

    function prices() internal view returns (Prices memory) {
        return Prices(g.shares, entryValue(), exitValue());
    }

    function keepPrices(Prices memory before) internal view {
        require(entryValue() * before.shares >= before.entry * g.shares, "INV-04 the entry rate fell");
        require(exitValue() * before.shares >= before.exit * g.shares, "INV-04 the exit rate fell");
    }

    /// Call as `from`, who first gets the `value` he sends.
    function call(address from, address to, uint256 value, bytes memory data)
        internal
        returns (bool ok, bytes memory out)
    {
        if (value > 0) vm.deal(from, from.balance + value);
        vm.prank(from);
        (ok, out) = to.call{value: value}(data);
    }

    /// Call, and see what `to` got and what the call returned.
    function pay(address from, address target, address to, bytes memory data) internal returns (Paid memory paid) {
        uint256 had = to.balance;
        bytes memory out;
        (paid.ok, out) = call(from, target, 0, data);
        if (!paid.ok) return paid;
        paid.ether_ = to.balance - had;
        paid.returned = abi.decode(out, (uint256));
    }

    /// A call must succeed exactly when the ledger says so. What rightly reverts is not counted as a step.
    function agree(bool expected, bool ok, string memory what) internal pure {
        require(ok || !expected, string.concat(what, " reverted"));
        require(!ok || expected, string.concat(what, " should have reverted"));
        vm.assume(ok);
    }

    function equal(uint256 actual, uint256 expected, string memory what) internal pure {
        require(actual == expected, what);
    }

    // ---- comparison ----------------------------------------------------------------------------------

    function read() internal view returns (Books memory b) {
        uint256[8] memory w = pool.state();
        (b.shares, b.assets, b.depositPause) = (u96(w[0]), u96(w[0] >> 96), u40(w[0] >> 192));
        (b.lossy, b.inDeficit) = ((w[0] >> 232) & 1, w[0] >> 233);
        (b.locked, b.start, b.end, b.ceilingGwei) = (u96(w[1]), u40(w[1] >> 96), u40(w[1] >> 136), w[1] >> 176);
        (b.outside, b.pending, b.fulfilPause) = (u96(w[2]), u96(w[2] >> 96), w[2] >> 192);
        (b.deficit, b.reportAt, b.instantPause) = (u96(w[3]), u40(w[3] >> 96), w[3] >> 216);
        b.allowance = (w[3] >> 136) & (2 ** 80 - 1);
        (b.waiting, b.eligible, b.staleAt) = (u96(w[4]), u96(w[4] >> 96), w[4] >> 192);
        (b.deposited, b.withdrawn, b.raised, b.donated) = (u96(w[5]), u96(w[5] >> 96), w[5] >> 192, w[7]);
    }

    /// Everything that must hold after every step.
    function check() internal {
        steps++;
        checkBooks();
        checkHolders();
        checkQueue();
        if (tickets.length > 1) checkTicket(1 + steps % (tickets.length - 1));
        require(!reenterer.breached(), "a contract was entered twice");
    }

    function checkBooks() internal view {
        Books memory expected = g;
        expected.lossy = g.pending * 100 > g.assets ? 1 : 0;
        expected.inDeficit = g.deficit > 0 ? 1 : 0;
        Books memory actual = read();
        if (keccak256(abi.encode(actual)) != keccak256(abi.encode(expected))) name(actual, expected);

        require(address(pool).balance >= bufferNow(), "INV-03 the pool holds less than its buffer");
        require(g.outside <= g.assets, "INV-02 more outside than there is");
        require(g.pending <= g.outside, "INV-02 more pending loss than there is outside");
        require(exitValue() <= entryValue(), "the exit value is above the entry value");
        equal(pool.totalSupply(), g.shares, "totalSupply");
        equal(pool.totalAssets(), entryValue(), "totalAssets");
        equal(pool.buffer(), bufferNow(), "buffer");
        equal(pool.locked(), lockedNow(), "locked");
        equal(pool.entry_rate(), entryValue() * 1e18 / g.shares, "entry_rate");
        equal(pool.exit_rate(), exitValue() * 1e18 / g.shares, "exit_rate");
        equal(pool.stakeable(), stakeableNow(), "stakeable");
    }

    function checkHolders() internal view {
        uint256 sum = g.waiting;
        uint256 sumWrapped = 0;
        uint256 sumAmounts = 0;
        for (uint256 i = 0; i < holders.length; i++) {
            address holder = holders[i];
            if (holder != address(queue)) equal(pool.balanceOf(holder), shares[holder], "INV-01 shares of a holder");
            equal(rebasing.shares_of(holder), wrapped[holder], "INV-01 wrapped shares of a holder");
            sum += shares[holder];
            sumWrapped += wrapped[holder];
            sumAmounts += rebasing.balanceOf(holder);
        }
        equal(pool.balanceOf(address(queue)), g.waiting, "INV-01 shares of the queue");
        equal(shares[address(pool)], seed, "INV-01 the seed moved");
        equal(sum, g.shares, "INV-01 the shares do not add up");
        equal(sumWrapped, rebasing.total_shares(), "INV-01 the wrapped shares do not add up");
        require(sumWrapped <= shares[address(rebasing)], "rebasing: more wrapped than held");
        require(sumAmounts <= rebasing.totalSupply(), "rebasing: balances exceed the total");
        require(rebasing.totalSupply() <= pool.convertToAssets(shares[address(rebasing)]), "rebasing: total too high");
    }

    function checkQueue() internal view {
        uint256 last = curveShares.length - 1;
        equal(queue.points(), last, "INV-08 points");
        equal(queue.filled(), filledNow(), "INV-08 filled");
        equal(queue.paid_in(), paidIn(), "INV-08 paid in");
        equal(queue.tail(), tailNow(), "INV-08 tail");
        equal(queue.tickets(), tickets.length - 1, "INV-08 tickets");
        equal(tailNow(), filledNow() + g.waiting, "INV-08 the line is not what waits");
        (uint256 s, uint256 e) = queue.point(last);
        require(s == filledNow() && e == paidIn(), "INV-08 the last point");
        require(last == 0 || s > curveShares[last - 1], "INV-08 the curve does not rise");
        require(g.eligible <= g.waiting, "INV-08 more eligible than waiting");
        equal(address(queue).balance, paidIn() - paidOut + forcedToQueue, "INV-06 the queue's ETH");
    }

    function checkTicket(uint256 id) internal view {
        Ticket memory t = tickets[id];
        (uint256 a, uint256 b) = queue.interval(id);
        require(a == t.start && b == t.end, "interval");
        bool open = t.owner != address(0);
        uint256 to = least(t.end, filledNow());
        uint256 worth = open && to > t.claimed ? curveAt(to) - curveAt(t.claimed) : 0;
        equal(queue.claimable(id), worth, "INV-06 claimable");
        equal(queue.pending(id), open ? t.end - (t.claimed > to ? t.claimed : to) : 0, "pending");
        equal(queue.hint(id), open ? segmentOf(t.claimed) : 0, "hint");
        if (!open) return;
        require(queue.ownerOf(id) == t.owner, "owner of a ticket");
        require(queue.getApproved(id) == t.approved, "approval of a ticket");
        equal(queue.claimed_until(id), t.claimed, "claimed until");
    }

    function name(Books memory actual, Books memory expected) internal pure {
        require(actual.shares == expected.shares, "INV-02 books: shares");
        require(actual.assets == expected.assets, "INV-02 books: assets");
        require(actual.outside == expected.outside, "INV-02 books: outside");
        require(actual.pending == expected.pending, "INV-02 books: pending loss");
        require(actual.deficit == expected.deficit, "INV-02 books: deficit");
        require(actual.lossy == expected.lossy, "INV-02 books: lossy flag");
        require(actual.inDeficit == expected.inDeficit, "INV-02 books: deficit flag");
        require(actual.locked == expected.locked, "INV-02 books: locked");
        require(actual.start == expected.start && actual.end == expected.end, "INV-02 books: stream times");
        require(actual.ceilingGwei == expected.ceilingGwei, "INV-02 books: ceiling");
        require(actual.waiting == expected.waiting, "INV-02 books: waiting");
        require(actual.eligible == expected.eligible, "INV-02 books: eligible");
        require(actual.allowance == expected.allowance, "INV-02 books: allowance");
        require(actual.reportAt == expected.reportAt, "INV-02 books: report time");
        require(actual.staleAt == expected.staleAt, "INV-02 books: stale time");
        require(actual.deposited == expected.deposited, "INV-02 books: deposited");
        require(actual.withdrawn == expected.withdrawn, "INV-02 books: withdrawn");
        require(actual.raised == expected.raised, "INV-02 books: raised");
        require(actual.donated == expected.donated, "INV-02 books: donated");
        revert("INV-17 books: pauses");
    }

    function u96(uint256 word) private pure returns (uint256) {
        return word & U96;
    }

    function u40(uint256 word) private pure returns (uint256) {
        return word & (2 ** 40 - 1);
    }
}
