// SPDX-License-Identifier: AGPL-3.0-only
pragma solidity ^0.8.30;

import {IPool, IQueue, IRebasing, IVault, Parameters, Report} from "./Interfaces.sol";
import {World} from "./World.sol";

/// What people, the chain, the oracle and the admin do. Every action predicts from the ledger whether it may succeed and
/// what it moves; forge picks actions and numbers.
contract Handler is World {
    /// Terms of an instant exit.
    struct Terms {
        uint256 limit;
        uint256 free;
        uint256 target;
        uint256 value;
    }

    /// One instant exit.
    struct Exit {
        address owner;
        address to;
        address from;
        uint256 burnt;
        uint256 gross;
        uint256 net;
    }

    /// What a report does, from the ledger.
    struct Result {
        int256 gain; // all of it
        uint256 outside;
        uint256 swept; // principal
        uint256 tips;
        uint256 gifts;
        uint256 pending;
    }

    struct Claim {
        uint256 id;
        uint256 hint;
        uint256 worth;
        uint256 to;
        bool ok;
    }

    // ---- entry ---------------------------------------------------------------------------------------

    function deposit(uint256 who, uint256 whom, uint256 size, uint256 kind) external step {
        (address from, address to) = (actor(who), receiver(whom));
        uint256 amount = pick(size, 50_000 ether);
        uint256 room = g.ceilingGwei * 1 gwei > g.assets ? g.ceilingGwei * 1 gwei - g.assets : 0;
        if (room < 1_000 ether && size % 4 == 0) amount = room + size / 4 % 2;
        uint256 got = entryValue() == 0 ? 0 : amount * g.shares / entryValue();
        kind %= 5;
        if (kind == 1) to = from;
        uint256 min = kind == 3 ? got + 1 : got;
        bool ok = mayEnter(amount, got) && kind != 3;
        bytes memory data;
        if (kind == 0) data = abi.encodeWithSignature("deposit(uint256,address)", amount, to);
        if (kind > 1) {
            data = abi.encodeWithSignature("deposit(uint256,address,uint256,address)", amount, to, min, ORACLE);
        }
        bool done;
        if (kind == 4) {
            ok = ok && to != address(0);
            data = abi.encodeCall(IRebasing.stake, (to, min, ORACLE));
            (done,) = call(from, address(rebasing), amount, data);
        } else {
            ok = ok && !refused(to);
            (done,) = call(from, address(pool), amount, data);
        }
        agree(ok, done, "deposit");
        (g.shares, g.assets) = (g.shares + got, g.assets + amount);
        if (kind == 4) {
            shares[address(rebasing)] += got;
            addWrapped(to, got);
        } else {
            shares[to] += got;
        }
    }

    function mint(uint256 who, uint256 whom, uint256 size, uint256 extra) external step {
        (address from, address to) = (actor(who), receiver(whom));
        uint256 got = pick(size, 20_000 ether);
        uint256 price = up(got * entryValue(), g.shares);
        uint256 value = extra % 8 == 0 ? price - least(1, price) : price + (extra % 2) * pick(extra / 8, 1 ether);
        bool ok = mayEnter(price, got) && !refused(to) && value >= price && (value == price || takesEther(from));
        uint256 had = from.balance;
        (bool done, bytes memory out) = call(from, address(pool), value, abi.encodeCall(IPool.mint, (got, to)));
        agree(ok, done, "mint");
        equal(from.balance, had + value - price, "mint: the rest came back");
        equal(abi.decode(out, (uint256)), price, "mint: price");
        (g.shares, g.assets) = (g.shares + got, g.assets + price);
        shares[to] += got;
    }

    function mayEnter(uint256 amount, uint256 got) internal view returns (bool) {
        return entryValue() > 0 && amount > 0 && got > 0 && g.depositPause <= block.timestamp
            && g.pending * 100 <= g.assets && g.assets + amount <= g.ceilingGwei * 1 gwei && g.shares + got <= U96;
    }

    // ---- instant exit --------------------------------------------------------------------------------

    function redeem(uint256 who, uint256 whom, uint256 size, uint256 by) external step {
        Exit memory e = exit(who, whom, by);
        e.burnt = by % 5 == 0 ? pool.maxRedeem(e.owner) : pick(size, shares[e.owner] + by % 2);
        if (by % 5 == 1) e.burnt = pick(size, pool.maxRedeem(e.owner));
        Terms memory t = terms();
        e.gross = e.burnt * t.value / g.shares;
        e.net = e.gross - fee(t, e.gross);
        // ERC-4626: what `maxRedeem` names can be redeemed.
        bool most = by % 5 == 0 && e.burnt > 0;
        require(!most || (e.gross <= t.limit && e.burnt <= shares[e.owner] && e.net > 0), "maxRedeem names too much");
        uint256 min = by % 11 == 0 ? e.net + 1 : e.net;
        Paid memory paid = pay(e.from, address(pool), e.to, abi.encodeCall(IPool.redeem, (e.burnt, e.to, e.owner, min)));
        agree(mayLeave(t, e) && min == e.net, paid.ok, "redeem");
        require(paid.ether_ == e.net && paid.returned == e.net, "redeem: paid");
        leaveNow(e);
    }

    function withdraw(uint256 who, uint256 whom, uint256 size, uint256 by) external step {
        Exit memory e = exit(who, whom, by);
        e.net = pool.maxWithdraw(e.owner);
        bool most = by % 5 == 0 && e.net > 0;
        if (!most) e.net = pick(size, e.net + by % 2);
        Terms memory t = terms();
        if (t.value == 0) e.net = 0;
        if (e.net > 0) e.burnt = up(grossFor(t, e.net) * g.shares, t.value);
        e.gross = e.burnt * t.value / g.shares;
        // ERC-4626: what `maxWithdraw` names can be withdrawn.
        require(!most || (e.gross <= t.limit && e.burnt <= shares[e.owner]), "maxWithdraw names too much");
        uint256 max = by % 11 == 0 && e.burnt > 0 ? e.burnt - 1 : e.burnt;
        Paid memory paid = pay(e.from, address(pool), e.to, abi.encodeCall(IPool.withdraw, (e.net, e.to, e.owner, max)));
        agree(mayLeave(t, e) && max == e.burnt, paid.ok, "withdraw");
        require(paid.ether_ == e.net && paid.returned == e.burnt, "withdraw: paid");
        // One share less does not pay for it.
        uint256 less = (e.burnt - 1) * t.value / g.shares;
        require(less - fee(t, less) < e.net, "withdraw: burnt too much");
        leaveNow(e);
    }

    function exit(uint256 who, uint256 whom, uint256 by) internal view returns (Exit memory e) {
        (e.owner, e.to) = (actor(who), receiver(whom));
        e.from = by % 3 == 0 ? actor(by / 3) : e.owner;
    }

    function terms() internal view returns (Terms memory t) {
        (t.value, t.free, t.target) = (exitValue(), freeNow(), g.assets * p.targetBps / BPS);
        bool open = g.pending == 0 && g.instantPause <= block.timestamp && block.timestamp < g.reportAt + p.staleAfter;
        if (open) t.limit = least(t.free, g.allowance);
    }

    /// The price of the next wei out.
    function pricePpm(Terms memory t, uint256 liquidity) internal view returns (uint256) {
        if (liquidity >= t.target) return p.instantFeeMin;
        return p.instantFeeMax - (p.instantFeeMax - p.instantFeeMin) * liquidity / t.target;
    }

    /// The mean price along the way of an exit: flat above the target, then the slope between two points.
    function feePpm(Terms memory t, uint256 gross) internal view returns (uint256) {
        uint256 flat = t.free > t.target ? least(t.free - t.target, gross) : 0;
        uint256 from = t.free - flat;
        uint256 to = t.free > gross ? t.free - gross : 0;
        uint256 slope = (gross - flat) * (pricePpm(t, from) + pricePpm(t, least(from, to)));
        return up(2 * flat * p.instantFeeMin + slope, 2 * gross);
    }

    function fee(Terms memory t, uint256 gross) internal view returns (uint256) {
        return gross == 0 ? 0 : up(gross * feePpm(t, gross), PPM);
    }

    /// The least gross amount that leaves `net`: from below, as long as it takes.
    function grossFor(Terms memory t, uint256 net) internal view returns (uint256 gross) {
        gross = net;
        while (gross - fee(t, gross) < net) gross = up(net * PPM, PPM - feePpm(t, gross));
    }

    function mayLeave(Terms memory t, Exit memory e) internal view returns (bool) {
        bool may = e.from == e.owner || allowed[e.owner][e.from] >= e.burnt;
        return may && e.net > 0 && e.gross <= t.limit && e.burnt <= shares[e.owner] && takesEther(e.to);
    }

    function leaveNow(Exit memory e) internal {
        spend(e.owner, e.from, e.burnt);
        stream(e.gross - e.net, p.period);
        g.deficit -= g.deficit * e.burnt / g.shares;
        (g.shares, g.assets, g.allowance) = (g.shares - e.burnt, g.assets - e.net, g.allowance - e.gross);
        shares[e.owner] -= e.burnt;
    }

    // ---- shares --------------------------------------------------------------------------------------

    function transfer(uint256 who, uint256 whom, uint256 by, uint256 size) external step {
        (address owner, address to) = (actor(who), anyHolder(whom));
        address from = by % 2 == 0 ? owner : actor(by / 2);
        uint256 amount = pick(size, shares[owner] + (size % 9 == 0 ? 1 : 0));
        bool ok = amount <= shares[owner] && !refused(to);
        bool done;
        if (by % 4 == 0) {
            (done,) = call(owner, address(pool), 0, abi.encodeCall(IPool.transfer, (to, amount)));
        } else {
            ok = ok && (from == owner || allowed[owner][from] >= amount);
            (done,) = call(from, address(pool), 0, abi.encodeCall(IPool.transferFrom, (owner, to, amount)));
        }
        agree(ok, done, "transfer");
        if (by % 4 != 0) spend(owner, from, amount);
        shares[owner] -= amount;
        shares[to] += amount;
    }

    function allow(uint256 who, uint256 whom, uint256 size, uint256 kind) external step {
        (address owner, address spender) = (actor(who), actor(whom));
        uint256 amount = size % 5 == 0 ? type(uint256).max : pick(size, 10_000 ether);
        if (kind % 3 == 0) {
            vm.prank(owner);
            rebasing.approve(spender, amount);
            rebasingAllowed[owner][spender] = amount;
        } else if (kind % 3 == 1) {
            vm.prank(owner);
            pool.approve(spender, amount);
            allowed[owner][spender] = amount;
        } else {
            owner = actors[who % keys.length];
            permit(who % keys.length, spender, amount, kind / 3 % 7);
        }
        equal(pool.allowance(owner, spender), allowed[owner][spender], "allowance");
    }

    function permit(uint256 signer, address spender, uint256 amount, uint256 kind) internal {
        address owner = actors[signer];
        uint256 deadline = kind == 0 ? block.timestamp - 1 : block.timestamp;
        uint256 nonce = kind == 1 ? nonces[owner] + 1 : nonces[owner];
        bytes32 digest = permitDigest(owner, spender, amount, nonce, deadline);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[kind == 2 ? (signer + 1) % keys.length : signer], digest);
        bytes memory data = abi.encodeCall(IPool.permit, (owner, spender, amount, deadline, v, r, s));
        (bool done,) = call(OUTSIDER, address(pool), 0, data);
        agree(kind > 2, done, "permit");
        allowed[owner][spender] = amount;
        nonces[owner]++;
        equal(pool.nonces(owner), nonces[owner], "permit: nonce");
        (done,) = call(OUTSIDER, address(pool), 0, data);
        require(!done, "a permit counted twice");
    }

    function permitDigest(address owner, address spender, uint256 amount, uint256 nonce, uint256 deadline)
        internal
        view
        returns (bytes32)
    {
        bytes32 kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 domain =
            keccak256(abi.encode(kind, keccak256("Floe ETH"), keccak256("1"), block.chainid, address(pool)));
        kind = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 content = keccak256(abi.encode(kind, owner, spender, amount, nonce, deadline));
        return keccak256(abi.encodePacked("\x19\x01", domain, content));
    }

    function spend(address owner, address from, uint256 amount) internal {
        if (from == owner || allowed[owner][from] == type(uint256).max) return;
        allowed[owner][from] -= amount;
        equal(pool.allowance(owner, from), allowed[owner][from], "allowance after use");
    }

    // ---- rebasing token ------------------------------------------------------------------------------

    function wrap(uint256 who, uint256 size, uint256 kind) external step {
        bool back = kind % 2 == 0;
        address owner = actor(who);
        uint256 had = back ? wrapped[owner] : shares[owner];
        uint256 amount = pick(size, had + (size % 9 == 0 ? 1 : 0));
        bytes memory data = back ? abi.encodeCall(IRebasing.unwrap, (amount)) : abi.encodeCall(IRebasing.wrap, (amount));
        (bool done, bytes memory out) = call(owner, address(rebasing), 0, data);
        agree(amount > 0 && amount <= had, done, "wrap");
        equal(abi.decode(out, (uint256)), amount * entryValue() / g.shares, "wrap: amount");
        (address giver, address taker) = back ? (address(rebasing), owner) : (owner, address(rebasing));
        shares[giver] -= amount;
        shares[taker] += amount;
        wrapped[owner] = back ? had - amount : wrapped[owner] + amount;
    }

    function transferRebasing(uint256 who, uint256 whom, uint256 by, uint256 size) external step {
        (address owner, address to) = (actor(who), anyHolder(whom));
        address from = by % 2 == 0 ? owner : actor(by / 2);
        uint256 value = entryValue();
        uint256 amount = pick(size, wrapped[owner] * value / g.shares + (size % 9 == 0 ? 1 : 0));
        uint256 moved = value == 0 ? 0 : up(amount * g.shares, value);
        uint256 had = rebasing.balanceOf(to);
        bool ok = value > 0 && moved <= wrapped[owner] && to != address(0) && to != address(rebasing);
        bytes memory data = abi.encodeCall(IRebasing.transferFrom, (owner, to, amount));
        if (by % 4 == 0) {
            from = owner;
            data = abi.encodeCall(IRebasing.transfer, (to, amount));
        }
        (bool done,) = call(from, address(rebasing), 0, data);
        agree(ok && mayMove(owner, from, amount), done, "rebasing transfer");
        spendRebasing(owner, from, amount);
        moveWrapped(owner, to, moved);
        if (to != owner) require(rebasing.balanceOf(to) >= had + amount, "rebasing: the receiver got less");
        require(moved == 0 || (moved - 1) * value < amount * g.shares, "rebasing: the sender gave too much");
    }

    function transferWrapped(uint256 who, uint256 whom, uint256 by, uint256 size) external step {
        (address owner, address to) = (actor(who), anyHolder(whom));
        address from = by % 2 == 0 ? owner : actor(by / 2);
        uint256 moved = pick(size, wrapped[owner] + (size % 9 == 0 ? 1 : 0));
        uint256 cost = up(moved * entryValue(), g.shares);
        bool ok = moved <= wrapped[owner] && to != address(0) && to != address(rebasing);
        bytes memory data = abi.encodeCall(IRebasing.transfer_shares_from, (owner, to, moved));
        if (by % 4 == 0) {
            from = owner;
            data = abi.encodeCall(IRebasing.transfer_shares, (to, moved));
        } else {
            ok = ok && entryValue() > 0; // no allowance could be asked for
        }
        (bool done, bytes memory out) = call(from, address(rebasing), 0, data);
        agree(ok && mayMove(owner, from, cost), done, "rebasing transfer of shares");
        equal(abi.decode(out, (uint256)), moved * entryValue() / g.shares, "rebasing transfer of shares: amount");
        spendRebasing(owner, from, cost);
        moveWrapped(owner, to, moved);
    }

    function mayMove(address owner, address from, uint256 amount) internal view returns (bool) {
        return from == owner || rebasingAllowed[owner][from] >= amount;
    }

    function spendRebasing(address owner, address from, uint256 amount) internal {
        if (from == owner || rebasingAllowed[owner][from] == type(uint256).max) return;
        rebasingAllowed[owner][from] -= amount;
    }

    function moveWrapped(address owner, address to, uint256 moved) internal {
        wrapped[owner] -= moved;
        addWrapped(to, moved);
    }

    function addWrapped(address to, uint256 more) internal {
        wrapped[to] += more;
        for (uint256 i = 0; i < holders.length; i++) {
            if (holders[i] == to) return;
        }
        holders.push(to); // the queue may hold these
    }

    // ---- queue ---------------------------------------------------------------------------------------

    function request(uint256 who, uint256 whom, uint256 size, uint256 count) external step {
        (address owner, address to) = (actor(who), receiver(whom));
        bool single = count % 2 == 0;
        uint256[] memory parts = new uint256[](single ? 1 : 1 + count % 7);
        uint256 total = 0;
        bool ok = !refused(to);
        for (uint256 i = 0; i < parts.length; i++) {
            uint256 salted = uint256(keccak256(abi.encode(size, i)));
            parts[i] = pick(salted, shares[owner] - least(total, shares[owner]) + (salted % 31 == 0 ? 1 : 0));
            ok = ok && parts[i] > 0;
            total += parts[i];
        }
        bytes memory data =
            single ? abi.encodeCall(IQueue.request, (parts[0], to)) : abi.encodeCall(IQueue.request_many, (parts, to));
        (bool done, bytes memory out) = call(owner, address(queue), 0, data);
        agree(ok && total <= shares[owner] && tailNow() + total < 2 ** 95, done, "request");
        equal(abi.decode(out, (uint256)), tickets.length, "request: number");
        for (uint256 i = 0; i < parts.length; i++) {
            uint256 start = tailNow();
            tickets.push(Ticket(to, address(0), start, start + parts[i], start));
        }
        shares[owner] -= total;
        g.waiting += total;
    }

    function fulfil(uint256 size, uint256 kind) external step {
        fulfilUpTo(kind % 2 == 0 ? pick(size, bufferNow()) + kind % 7 * 1 ether : type(uint256).max);
    }

    function fulfilUpTo(uint256 max) internal {
        uint256 value = exitValue();
        uint256 burnt = value == 0 ? 0 : least(g.eligible, least(bufferNow(), max) * g.shares / value);
        uint256 paid = burnt * value / g.shares;
        bool ok = g.fulfilPause <= block.timestamp && burnt > 0 && (burnt == g.eligible || paid >= 1 ether);
        (bool done, bytes memory out) = call(OUTSIDER, address(pool), 0, abi.encodeCall(IPool.fulfil, (max)));
        agree(ok, done, "fulfil");
        (uint256 s, uint256 e) = abi.decode(out, (uint256, uint256));
        require(s == burnt && e == paid, "fulfil: returned");
        curveShares.push(filledNow() + burnt);
        curveEther.push(paidIn() + paid);
        // Who leaves settles his part of a pending loss, and takes his part of the deficit along.
        uint256 borne = g.pending * burnt / g.shares;
        (g.pending, g.outside) = (g.pending - borne, g.outside - borne);
        g.deficit -= g.deficit * burnt / g.shares;
        (g.shares, g.assets) = (g.shares - burnt, g.assets - paid - borne);
        (g.waiting, g.eligible) = (g.waiting - burnt, g.eligible - burnt);
    }

    function claim(uint256 which, uint256 how, uint256 by, uint256 whom) external step {
        Claim memory c = plan(pickTicket(which), how);
        Ticket memory t = tickets[c.id];
        address from = by % 3 == 0 ? OUTSIDER : by % 3 == 1 ? t.owner : actor(by / 3);
        address to = t.owner;
        bytes memory data = abi.encodeCall(IQueue.claim, (c.id, c.hint));
        bool ok = c.ok;
        if (whom % 3 == 0) {
            to = receiver(whom / 3);
            ok = ok && mayUse(t, from);
            data = abi.encodeCall(IQueue.claim_to, (c.id, to, c.hint));
        }
        Paid memory paid = pay(from, address(queue), to, data);
        agree(ok && takesEther(to), paid.ok, "claim");
        require(paid.ether_ == c.worth && paid.returned == c.worth, "claim: paid");
        book(c);
        checkTicket(c.id);
    }

    function claimMany(uint256 which, uint256 how, uint256 count) external step {
        bool hinted = how % 2 == 0;
        uint256[] memory ids = new uint256[](1 + count % 8);
        uint256[] memory hints = new uint256[](hinted ? ids.length : 0);
        uint256[] memory had = balances();
        // Plans and books one after another, because the same ticket may come twice.
        uint256 before = paidOut;
        for (uint256 i = 0; i < ids.length; i++) {
            Claim memory c = plan(pickTicket(uint256(keccak256(abi.encode(which, i)))), hinted ? how >> (1 + 8 * i) : 0);
            ids[i] = c.id;
            if (hinted) hints[i] = c.hint;
            address owner = tickets[c.id].owner;
            if (!c.ok || !takesEther(owner)) continue;
            for (uint256 k = 0; k < actors.length; k++) {
                if (actors[k] == owner) had[k] += c.worth;
            }
            book(c);
        }
        bytes memory data = abi.encodeCall(IQueue.claim_many, (ids, hints));
        (bool done, bytes memory out) = call(OUTSIDER, address(queue), 0, data);
        agree(true, done, "claim_many");
        equal(abi.decode(out, (uint256)), paidOut - before, "claim_many: returned");
        for (uint256 k = 0; k < actors.length; k++) {
            equal(actors[k].balance, had[k], "claim_many: paid");
        }
        for (uint256 i = 0; i < ids.length; i++) {
            if (ids[i] > 0) checkTicket(ids[i]);
        }
        vm.assume(paidOut > before); // else it is not counted as a success
    }

    function moveTicket(uint256 which, uint256 whom, uint256 by, uint256 kind) external step {
        uint256 id = pickTicket(which);
        Ticket storage t = tickets[id];
        address owner = t.owner;
        (address from, address to) = (by % 3 == 0 ? actor(by / 3) : owner, receiver(whom));
        bool open = owner != address(0);
        kind %= 5;
        if (kind == 0) {
            (bool done,) = call(from, address(queue), 0, abi.encodeCall(IQueue.approve, (to, id)));
            agree(open && (from == owner || operators[owner][from]), done, "approve of a ticket");
            t.approved = to;
        } else if (kind == 1) {
            vm.prank(from);
            queue.setApprovalForAll(to, by % 2 == 0);
            operators[from][to] = by % 2 == 0;
        } else {
            bool safe = kind == 2;
            address named = kind == 3 && by % 4 == 0 ? actor(by / 4) : owner;
            bytes memory data = safe
                ? abi.encodeCall(IQueue.safeTransferFrom, (named, to, id))
                : abi.encodeCall(IQueue.transferFrom, (named, to, id));
            bool ok = open && mayUse(t, from) && named == owner && !refused(to) && !(safe && to == actors[4]);
            (bool done,) = call(from, address(queue), 0, data);
            agree(ok, done, "transfer of a ticket");
            (t.owner, t.approved) = (to, address(0));
        }
        if (id > 0) checkTicket(id);
        for (uint256 i = 0; i < actors.length; i++) {
            uint256 count = 0;
            for (uint256 k = 1; k < tickets.length; k++) {
                if (tickets[k].owner == actors[i]) count++;
            }
            equal(queue.balanceOf(actors[i]), count, "number of tickets");
        }
    }

    function mayUse(Ticket memory t, address from) internal view returns (bool) {
        return from == t.owner || operators[t.owner][from] || (t.approved == from);
    }

    function plan(uint256 id, uint256 how) internal view returns (Claim memory c) {
        Ticket memory t = tickets[id];
        uint256 right = segmentOf(t.claimed);
        uint256[6] memory hints = [0, right, right, right + 1, right - least(1, right), how % (curveShares.length + 1)];
        c.id = id;
        c.hint = hints[how % 6];
        if (how % 97 == 96) c.hint = type(uint256).max - how;
        c.to = least(t.end, filledNow());
        c.ok = t.owner != address(0) && c.to > t.claimed && (c.hint == 0 || c.hint == right);
        if (c.ok) c.worth = curveAt(c.to) - curveAt(t.claimed);
    }

    function book(Claim memory c) internal {
        Ticket storage t = tickets[c.id];
        t.claimed = c.to;
        if (c.to == t.end) t.owner = address(0);
        paidOut += c.worth;
    }

    // ---- the chain -----------------------------------------------------------------------------------

    /// Rewards, slashings, withdrawals, tips, gifts and forced ETH.
    function chain(uint256 kind, uint256 size) external step {
        kind %= 9;
        if (kind == 0) beacon += pick(size, beacon / 2_000 + 1);
        if (kind == 1) beacon += pick(size, beacon / 20 + 1 ether);
        if (kind == 2) beacon -= pick(size, beacon / (size % 16 == 0 ? 1 : size % 4 == 0 ? 20 : 2_000));
        if (kind == 3 || kind == 4) {
            uint256 amount = pick(size, beacon);
            beacon -= amount;
            withdrawnCl += amount;
            give(withdrawalVault, amount);
        }
        if (kind == 5) give(executionVault, pick(size, 20 ether));
        if (kind == 6) {
            uint256 gift = pick(size, 20 ether);
            gifts += gift;
            give(withdrawalVault, gift);
        }
        if (kind == 7) give(address(pool), pick(size, 20 ether));
        if (kind == 8) {
            uint256 forced = pick(size, 1 ether);
            forcedToQueue += forced;
            give(address(queue), forced);
        }
    }

    function stake(uint256 size) external step {
        uint256 most = stakeableNow();
        uint256 amount = pick(size, most + (size % 9 == 0 ? 1 : 0));
        (bool done,) = call(registry, address(pool), 0, abi.encodeCall(IPool.send_to_validators, (amount)));
        agree(amount <= most, done, "send_to_validators");
        (g.outside, g.deposited, beacon) = (g.outside + amount, g.deposited + amount, beacon + amount);
    }

    /// A slashing is proven: the exit rate falls at once, by that much, and nothing else moves.
    function slash(uint256 size) external {
        Prices memory before = prices();
        uint256 room = (g.outside - g.pending) / 1 gwei;
        uint256 most = size % 16 == 0 ? 2 * room + 1 : size % 4 == 0 ? room / 8 : room / 400;
        uint256 amount = size % 64 == 1 ? type(uint256).max : pick(size, most);
        (bool done,) = call(registry, address(pool), 0, abi.encodeCall(IPool.raise_pending_loss, (amount)));
        require(done, "raise_pending_loss reverted");
        amount = least(amount, room);
        (g.pending, g.raised) = (g.pending + amount * 1 gwei, g.raised + amount);
        check();
        require(entryValue() == before.entry && g.shares == before.shares, "promise 3: a raise moved the entry rate");
        uint256 left = before.exit - least(before.exit, amount * 1 gwei);
        equal(exitValue(), left, "promise 3: a raise must lower the exit rate at once");
    }

    /// Some time, or up to a deadline or the second before it.
    function wait(uint256 size, uint256 kind) external timeStep {
        uint256[5] memory most = [uint256(12), 1 hours, 1 days, 5 days, 45 days];
        uint256[6] memory deadlines =
            [g.depositPause, g.fulfilPause, g.instantPause, g.end, g.reportAt + p.staleAfter, g.staleAt + p.staleAfter];
        uint256 next = deadlines[size % 6] - least(size / 6 % 2, deadlines[size % 6]);
        if (kind % 2 == 0 || next <= block.timestamp) next = block.timestamp + 1 + pick(size, most[kind / 2 % 5]);
        vm.warp(next);
    }

    // ---- oracle --------------------------------------------------------------------------------------

    /// The oracle notes what it sees; a later report may use it, with everything since then in flight.
    function observe() external step {
        sight = look();
    }

    function report(uint256 kind, uint256 size) external {
        if (kind % 4 != 0) sight = look();
        uint256 pending = 0;
        if (size % 5 == 1) pending = pick(size / 5, g.assets / 100);
        if (size % 48 == 2) pending = pick(size / 48, g.assets * 6 / 5);
        Prices memory before = prices();
        (bool loss, uint256 cost) = bookReport(pending);
        check();

        if (loss) {
            equal(entryValue(), least(before.entry, g.assets), "a loss must eat locked rewards first, then the price");
            equal(g.shares, before.shares, "INV-10 fee on a loss");
            return;
        }
        // Promise 1: a report does not move the price, but for the rounding of the fee shares.
        uint256 now_ = entryValue() * before.shares;
        require(now_ >= before.entry * g.shares, "INV-04 the entry rate fell in a report with a gain");
        require(now_ - before.entry * g.shares <= before.entry, "promise 1: the entry rate jumped in a report");
        uint256 minted = g.shares - before.shares;
        require(minted * entryValue() <= cost * g.shares, "INV-10 the fee shares are worth more than the fee");
    }

    /// Predict and make the report.
    function bookReport(uint256 pending) internal returns (bool loss, uint256 cost) {
        Result memory r = result(pending);
        send(pending, r.swept + r.gifts + r.tips);
        (g.outside, g.withdrawn) = (r.outside, g.withdrawn + r.swept);
        g.donated += r.gifts;
        loss = r.gain < 0;
        cost = loss ? bookLoss(uint256(-r.gain)) : bookGain(uint256(r.gain));
        g.pending = r.pending;
        g.reportAt = block.timestamp;
        g.allowance = least(g.assets * p.allowanceBps / BPS, 2 ** 80 - 1);
        if (sight.tail > filledNow() + g.eligible) g.eligible = sight.tail - filledNow();
    }

    function result(uint256 pending) internal view returns (Result memory r) {
        uint256 room = g.assets * p.riseBps * (block.timestamp - g.reportAt) / (BPS * YEAR);
        // What a stale oracle let through may not have reached the reference slot: then this is below 0.
        int256 credited = int256(sight.withdrawn) - int256(g.withdrawn);
        int256 outcome = int256(sight.cl + g.deposited - sight.deposited) + credited - int256(g.outside);
        // What was raised since the reference slot stays pending, and is borne like the rest.
        pending += (g.raised - sight.raised) * 1 gwei;
        uint256 covered = least(pending, outcome > 0 ? uint256(outcome) : 0);
        r.gain = lesser(outcome - int256(covered), room);
        bool wiped = r.gain < -int256(g.outside);
        if (wiped) r.gain = -int256(g.outside);
        uint256 backed = uint256(int256(g.outside) + r.gain);
        r.swept = least(credited > 0 ? uint256(credited) : 0, backed);
        r.outside = backed - r.swept;
        r.pending = least(pending - covered, r.outside);

        uint256 left = uint256(int256(room) - r.gain);
        r.tips = least(executionVault.balance, left);
        uint256 there = least(withdrawalVault.balance - r.swept, sight.donated - g.donated);
        r.gifts = least(there, left - r.tips);
        uint256 surplus = least(address(pool).balance - bufferNow(), left - r.tips - r.gifts);
        r.gain += int256(r.tips + r.gifts + surplus);
        // The same from the conservation of ETH: what backs the shares, less what the books say.
        int256 backing = outcome + int256(g.outside + there + executionVault.balance + address(pool).balance);
        int256 gain = lesser(backing - int256(g.assets + covered), room);
        require(wiped || gain == r.gain, "INV-02 a report that does not conserve ETH");
    }

    function send(uint256 pending, uint256 swept) internal {
        Report memory r =
            Report(sight.cl, sight.deposited, sight.withdrawn, sight.donated, sight.tail, pending, sight.raised);
        uint256 had = address(pool).balance;
        (bool done,) = call(ORACLE, address(pool), 0, abi.encodeCall(IPool.report, (r)));
        require(done, "INV-19 an honest report reverted");
        equal(address(pool).balance - had, swept, "report: swept");
    }

    function lesser(int256 a, uint256 b) internal pure returns (int256) {
        return a < int256(b) ? a : int256(b);
    }

    function bookLoss(uint256 loss) internal returns (uint256) {
        uint256 locked = lockedNow();
        g.deficit += loss;
        g.assets -= loss;
        g.locked = locked - least(locked, loss);
        if (g.end < block.timestamp) g.end = block.timestamp;
        g.start = block.timestamp;
        return 0;
    }

    function bookGain(uint256 gain) internal returns (uint256 cost) {
        uint256 value = entryValue();
        uint256 repaid = least(g.deficit, gain);
        g.deficit -= repaid;
        cost = (gain - repaid) * p.feeBps / BPS;
        uint256 minted = value == 0 ? 0 : cost * g.shares / value;
        if (minted == 0) cost = 0;
        // What took longer than a period to earn streams for as long.
        uint256 earning = block.timestamp - g.reportAt;
        stream(gain - cost, earning > p.period ? earning : p.period);
        (g.assets, g.shares) = (g.assets + gain, g.shares + minted);
        shares[feeRecipient] += minted;
    }

    /// Lock `amount` more, for up to `span`: as much later as its part of the whole says.
    function stream(uint256 amount, uint256 span) internal {
        if (amount == 0) return;
        uint256 locked = lockedNow();
        uint256 rest = g.end > block.timestamp ? g.end - block.timestamp : 0;
        if (rest < span) rest += (span - rest) * amount / (locked + amount);
        (g.locked, g.start, g.end) = (locked + amount, block.timestamp, block.timestamp + rest);
    }

    function declareStale() external step {
        uint256 since = g.reportAt > g.staleAt ? g.reportAt : g.staleAt;
        // What lies in the withdrawal vault comes into the buffer, whatever it is; the next report finds out.
        uint256 swept = least(withdrawalVault.balance, g.outside - g.pending);
        uint256 had = address(pool).balance;
        (bool done,) = call(OUTSIDER, address(pool), 0, abi.encodeCall(IPool.declare_stale, ()));
        agree(block.timestamp >= since + p.staleAfter, done, "declare_stale");
        equal(address(pool).balance - had, swept, "declare_stale: swept");
        (g.eligible, g.staleAt) = (g.waiting, block.timestamp);
        (g.outside, g.withdrawn) = (g.outside - swept, g.withdrawn + swept);
    }

    // ---- admin, pauser, intruder ---------------------------------------------------------------------

    function pause(uint256 functions, uint256 size) external step {
        functions = functions % 8;
        uint256 until = pick(size, block.timestamp);
        if (size % 4 == 1) until = block.timestamp + pick(size, 14 days + size % 2);
        if (size % 4 == 2) until = block.timestamp + pick(size, 1 hours);
        (bool done,) = call(PAUSER, address(pool), 0, abi.encodeCall(IPool.pause, (functions, until)));
        agree(until <= block.timestamp + 14 days, done, "pause");
        if (functions & 1 != 0) g.depositPause = until;
        if (functions & 2 != 0) g.fulfilPause = until;
        if (functions & 4 != 0) g.instantPause = until;
    }

    function setParameters(uint256 entropy, uint256 kind) external step {
        if (kind % 8 == 0) {
            uint256 ceiling = g.assets / 1 gwei + (kind % 32 == 0 ? pick(entropy, 10 ** 12) : 3_000_000 * 10 ** 9);
            vm.prank(admin);
            pool.set_deposit_ceiling(ceiling);
            g.ceilingGwei = ceiling;
            return;
        }
        if (kind % 8 == 1) {
            address recipient = entropy % 2 == 0 ? address(0xFEE) : receiver(entropy / 2);
            (bool taken,) = call(admin, address(pool), 0, abi.encodeCall(IPool.set_fee_recipient, (recipient)));
            agree(!refused(recipient), taken, "set_fee_recipient");
            feeRecipient = recipient;
            return;
        }
        Parameters memory q = Parameters(
            cut(entropy, 0, 0, 2_000),
            cut(entropy, 1, 100, 5_000),
            cut(entropy, 2, 0, 2_000),
            cut(entropy, 6, 0, 2_000),
            0,
            cut(entropy, 3, 0, 50_000),
            cut(entropy, 4, 1 hours, 30 days),
            cut(entropy, 5, 1 days, 30 days)
        );
        q.instantFeeMin = cut(entropy, 7, 0, q.instantFeeMax);
        vm.prank(admin);
        pool.set_parameters(q);
        p = q;
    }

    /// INV-18: nobody without a role gets through the doors that ask for one.
    function intrude(uint256 which, uint256 who, uint256 size) external step {
        uint256 amount = pick(size, 1 ether);
        bytes[12] memory calls = [
            abi.encodeCall(IPool.report, (Report(beacon, 0, withdrawnCl, gifts, tailNow(), 0, 0))),
            abi.encodeCall(IPool.send_to_validators, (amount)),
            abi.encodeCall(IPool.raise_pending_loss, (amount)),
            abi.encodeCall(IPool.set_parameters, (p)),
            abi.encodeCall(IPool.set_deposit_ceiling, (amount)),
            abi.encodeCall(IPool.set_fee_recipient, (OUTSIDER)),
            abi.encodeCall(IPool.pause, (7, block.timestamp + 1)),
            abi.encodeCall(IPool.lock_for_exit, (actor(size), amount)),
            abi.encodeWithSignature("grantRole(bytes32,address)", keccak256("ORACLE_ROLE"), OUTSIDER),
            abi.encodeCall(IPool.receive_from_vault, ()),
            abi.encodeCall(IQueue.settle, (amount)),
            abi.encodeCall(IVault.sweep, (amount))
        ];
        uint256 i = which % calls.length;
        address target =
            i < 10 ? address(pool) : i == 10 ? address(queue) : which % 2 == 0 ? withdrawalVault : executionVault;
        (bool done,) = call(actor(who), target, 0, calls[i]);
        require(!done, "INV-18 an intruder got through");
    }

    // ---- INV-05 --------------------------------------------------------------------------------------

    /// In and out in one block, several ways; afterwards everything is as before.
    function roundTrip(uint256 who, uint256 size, uint256 kind) external step {
        address owner = actors[who % keys.length];
        uint256 amount = 1 + pick(size, least(g.allowance, 1_000 ether));
        uint256 got = entryValue() == 0 ? 0 : amount * g.shares / entryValue();
        vm.assume(mayEnter(amount, got));
        uint256 snapshot = vm.snapshotState();
        vm.deal(owner, amount);
        // What he holds already must not pay for it.
        uint256 kept = shares[owner];
        if (kept > 0) {
            vm.prank(owner);
            pool.transfer(OUTSIDER, kept);
        }
        if (kind % 4 == 0) splitDeposit(owner, got, size);
        if (kind % 4 == 1) depositAndRedeem(owner, amount);
        if (kind % 4 == 2) mintAndWithdraw(owner, got, amount);
        if (kind % 4 == 3) wrapAndBack(owner, amount);
        require(owner.balance <= amount, "INV-05 a profit from a round trip");
        require(vm.revertToState(snapshot), "no way back");
    }

    function splitDeposit(address owner, uint256 got, uint256 size) internal {
        for (uint256 part = 1; part <= 10; part++) {
            uint256 some = part == 10 ? owner.balance : pick(size / part, owner.balance);
            if (pool.previewDeposit(some) == 0) continue;
            vm.prank(owner);
            pool.deposit{value: some}(some, owner);
        }
        require(pool.balanceOf(owner) <= got, "INV-05 ten deposits buy more than one");
    }

    function depositAndRedeem(address owner, uint256 amount) internal {
        vm.prank(owner);
        pool.deposit{value: amount}(amount, owner);
        redeemAll(owner);
    }

    function mintAndWithdraw(address owner, uint256 got, uint256 amount) internal {
        vm.prank(owner);
        pool.mint{value: amount}(got, owner);
        uint256 out = pool.maxWithdraw(owner);
        if (out == 0) return;
        vm.prank(owner);
        pool.withdraw(out, owner, owner, type(uint256).max);
    }

    function wrapAndBack(address owner, uint256 amount) internal {
        vm.prank(owner);
        uint256 got = rebasing.stake{value: amount}(owner, 0, address(0));
        vm.prank(owner);
        rebasing.unwrap(got);
        redeemAll(owner);
    }

    function redeemAll(address owner) internal {
        uint256 most = pool.maxRedeem(owner);
        if (pool.previewRedeem(most) == 0) return;
        vm.prank(owner);
        pool.redeem(most, owner, owner, 0);
    }

    // ---- the test's own -----------------------------------------------------------------------------

    function compare() external {
        check();
    }

    /// Actions that people, the chain, the oracle and the admin may take in any order, often ones several times.
    function actions() public pure returns (bytes4[] memory list) {
        bytes4[29] memory all = [
            this.deposit.selector,
            this.deposit.selector,
            this.mint.selector,
            this.redeem.selector,
            this.withdraw.selector,
            this.transfer.selector,
            this.allow.selector,
            this.wrap.selector,
            this.transferRebasing.selector,
            this.transferWrapped.selector,
            this.request.selector,
            this.request.selector,
            this.fulfil.selector,
            this.fulfil.selector,
            this.claim.selector,
            this.claimMany.selector,
            this.moveTicket.selector,
            this.chain.selector,
            this.stake.selector,
            this.slash.selector,
            this.wait.selector,
            this.observe.selector,
            this.report.selector,
            this.report.selector,
            this.declareStale.selector,
            this.pause.selector,
            this.setParameters.selector,
            this.intrude.selector,
            this.roundTrip.selector
        ];
        list = new bytes4[](all.length);
        for (uint256 i = 0; i < all.length; i++) {
            list[i] = all[i];
        }
    }

    /// Live through some random actions before the campaign starts.
    function live(uint256 entropy, uint256 count) external {
        bytes4[] memory list = actions();
        for (uint256 i = 0; i < count; i++) {
            bytes32 n = keccak256(abi.encode(entropy, i));
            bytes4 action = list[uint256(n) % list.length];
            bytes memory numbers = abi.encode(
                keccak256(abi.encode(n, 1)),
                keccak256(abi.encode(n, 2)),
                keccak256(abi.encode(n, 3)),
                keccak256(abi.encode(n, 4))
            );
            (bool ok, bytes memory out) = address(this).call(abi.encodePacked(action, numbers));
            if (!ok && keccak256(out) != keccak256("FOUNDRY::ASSUME")) {
                assembly {
                    revert(add(out, 32), mload(out))
                }
            }
        }
    }

    // ---- the end -------------------------------------------------------------------------------------

    /// INV-06 and promises 2 and 6: with all ETH back, all exits are paid, in any order, and no wei stays behind.
    function finish() external {
        withdrawnCl += beacon;
        give(withdrawalVault, beacon);
        beacon = 0;
        sight = look();
        bookReport(0);
        equal(g.outside, 0, "all is back, and yet something is outside");
        (g.depositPause, g.fulfilPause, g.instantPause) = (0, 0, 0);
        vm.prank(PAUSER);
        pool.pause(7, 0);
        check();
        if (g.eligible > 0 && exitValue() > 0) {
            equal(g.eligible, g.waiting, "not all exits are eligible");
            fulfilUpTo(type(uint256).max);
            equal(g.waiting, 0, "promise 5: an exit was left");
        }
        uint256 sum = 0;
        for (uint256 id = 1; id < tickets.length; id++) {
            checkTicket(id);
            sum += queue.claimable(id);
        }
        require(sum <= address(queue).balance, "INV-06 more is claimable than there is");
        // Every second ticket first, so that neighbours meet in both orders.
        for (uint256 i = 0; i < 2 * (tickets.length - 1); i++) {
            uint256 id = 1 + (2 * i + i / (tickets.length - 1)) % (tickets.length - 1);
            Claim memory c = plan(id, 1);
            if (!c.ok) continue;
            address to = takesEther(tickets[id].owner) ? tickets[id].owner : OUTSIDER;
            bytes memory data = abi.encodeCall(IQueue.claim_to, (id, to, c.hint));
            Paid memory paid = pay(tickets[id].owner, address(queue), to, data);
            require(paid.ok && paid.ether_ == c.worth, "INV-06 claim at the end");
            book(c);
        }
        if (g.waiting == 0) equal(address(queue).balance, forcedToQueue, "INV-06 a wei stayed behind");
        check();
    }

    // ---- choices -------------------------------------------------------------------------------------

    function actor(uint256 n) internal view returns (address) {
        return actors[n % actors.length];
    }

    /// Mostly people; sometimes an address that must be refused.
    function receiver(uint256 n) internal view returns (address) {
        n = mix(n);
        if (n % 37 == 0) return address(0);
        if (n % 37 == 1) return address(pool);
        if (n % 37 == 2) return address(queue);
        return actors[n / 37 % actors.length];
    }

    function anyHolder(uint256 n) internal view returns (address) {
        return n % 13 == 0 ? address(rebasing) : receiver(n);
    }

    function refused(address to) internal view returns (bool) {
        return to == address(0) || to == address(pool) || to == address(queue);
    }

    function takesEther(address to) internal view returns (bool) {
        return !refused(to) && to != actors[4] && to != address(rebasing);
    }

    function pickTicket(uint256 n) internal view returns (uint256) {
        n = mix(n);
        if (n % 29 == 0) return 0;
        uint256 id = (n / 29) % tickets.length;
        if (n % 29 < 7) return id;
        // Mostly one that is open, when there is one.
        for (uint256 i = 0; i < tickets.length && tickets[id].owner == address(0); i++) {
            id = (id + 1) % tickets.length;
        }
        return id;
    }

    /// A number up to `max`: small, of any magnitude, anywhere, or the largest.
    function pick(uint256 n, uint256 max) internal pure returns (uint256) {
        n = mix(n);
        uint256 kind = n % 8;
        n /= 8;
        if (kind == 0) return max;
        if (kind == 1) return n % (least(max, 1_000) + 1);
        if (kind < 5) return (n >> 8) % (least(max, uint256(1) << (n % 97)) + 1);
        return n % (max + 1);
    }

    function cut(uint256 entropy, uint256 i, uint256 low, uint256 high) internal pure returns (uint256) {
        uint256 n = uint256(keccak256(abi.encode(entropy, i)));
        return low + pick(n, high - low);
    }

    /// forge prefers small and round numbers.
    function mix(uint256 n) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(n)));
    }

    function balances() internal view returns (uint256[] memory list) {
        list = new uint256[](actors.length);
        for (uint256 i = 0; i < actors.length; i++) {
            list[i] = actors[i].balance;
        }
    }

    function give(address to, uint256 amount) internal {
        vm.deal(to, to.balance + amount);
    }
}
