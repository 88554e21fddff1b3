// SPDX-License-Identifier: AGPL-3.0-only
pragma solidity ^0.8.30;

/// What the harness uses of forge's cheatcodes.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function assume(bool condition) external pure;
    function deal(address account, uint256 balance) external;
    function envUint(string calldata name) external view returns (uint256);
    function envString(string calldata name) external view returns (string memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function prank(address sender) external;
    function readFile(string calldata path) external view returns (string memory);
    function revertToState(uint256 snapshot) external returns (bool);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotState() external returns (uint256);
    function warp(uint256 timestamp) external;
}

struct Parameters {
    uint256 feeBps;
    uint256 riseBps;
    uint256 targetBps;
    uint256 allowanceBps;
    uint256 instantFeeMin;
    uint256 instantFeeMax;
    uint256 period;
    uint256 staleAfter;
}

struct Setup {
    address queue;
    address withdrawalVault;
    address executionVault;
    address admin;
    address oracle;
    address registry;
    address pauser;
    address feeRecipient;
    uint256 depositCeilingGwei;
    Parameters parameters;
}

struct Report {
    uint256 cl;
    uint256 depositedAtRef;
    uint256 withdrawnAtRef;
    uint256 donatedAtRef;
    uint256 queueTailAtRef;
    uint256 pendingLoss;
    uint256 raisedAtRef; // Gwei
}

interface IPool {
    function allowance(address owner, address spender) external view returns (uint256);
    function approve(address spender, uint256 amount) external returns (bool);
    function balanceOf(address owner) external view returns (uint256);
    function buffer() external view returns (uint256);
    function convertToAssets(uint256 shares) external view returns (uint256);
    function convertToShares(uint256 assets) external view returns (uint256);
    function declare_stale() external;
    function deficit() external view returns (uint256);
    function deposit(uint256 assets, address receiver) external payable returns (uint256);
    function deposit(uint256 assets, address receiver, uint256 minShares, address referral)
        external
        payable
        returns (uint256);
    function eligible() external view returns (uint256);
    function entry_price() external view returns (uint256, uint256);
    function entry_rate() external view returns (uint256);
    function exit_rate() external view returns (uint256);
    function fee_recipient() external view returns (address);
    function fulfil(uint256 maxAssets) external returns (uint256, uint256);
    function lock_for_exit(address owner, uint256 shares) external;
    function locked() external view returns (uint256);
    function maxDeposit(address receiver) external view returns (uint256);
    function maxMint(address receiver) external view returns (uint256);
    function maxRedeem(address owner) external view returns (uint256);
    function maxWithdraw(address owner) external view returns (uint256);
    function mint(uint256 shares, address receiver) external payable returns (uint256);
    function nonces(address owner) external view returns (uint256);
    function outside() external view returns (uint256);
    function pause(uint256 functions, uint256 until) external;
    function pending_loss() external view returns (uint256);
    function permit(address owner, address spender, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;
    function previewDeposit(uint256 assets) external view returns (uint256);
    function previewMint(uint256 shares) external view returns (uint256);
    function previewRedeem(uint256 shares) external view returns (uint256);
    function previewWithdraw(uint256 assets) external view returns (uint256);
    function raise_pending_loss(uint256 gwei_) external;
    function receive_from_vault() external payable;
    function redeem(uint256 shares, address receiver, address owner, uint256 minAssets) external returns (uint256);
    function report(Report calldata report_) external;
    function send_to_validators(uint256 amount) external;
    function set_deposit_ceiling(uint256 gwei_) external;
    function set_fee_recipient(address recipient) external;
    function set_parameters(Parameters calldata p) external;
    function stakeable() external view returns (uint256);
    function state() external view returns (uint256[8] memory);
    function totalAssets() external view returns (uint256);
    function totalSupply() external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address owner, address to, uint256 amount) external returns (bool);
    function withdraw(uint256 assets, address receiver, address owner, uint256 maxShares) external returns (uint256);
}

interface IQueue {
    function approve(address to, uint256 ticket) external payable;
    function balanceOf(address owner) external view returns (uint256);
    function claim(uint256 ticket, uint256 hint) external returns (uint256);
    function claim_many(uint256[] calldata tickets_, uint256[] calldata hints) external returns (uint256);
    function claim_to(uint256 ticket, address receiver, uint256 hint) external returns (uint256);
    function claimable(uint256 ticket) external view returns (uint256);
    function claimed_until(uint256 ticket) external view returns (uint256);
    function filled() external view returns (uint256);
    function getApproved(uint256 ticket) external view returns (address);
    function hint(uint256 ticket) external view returns (uint256);
    function interval(uint256 ticket) external view returns (uint256, uint256);
    function ownerOf(uint256 ticket) external view returns (address);
    function paid_in() external view returns (uint256);
    function pending(uint256 ticket) external view returns (uint256);
    function point(uint256 index) external view returns (uint256, uint256);
    function points() external view returns (uint256);
    function request(uint256 shares, address receiver) external returns (uint256);
    function request_many(uint256[] calldata shares, address receiver) external returns (uint256);
    function safeTransferFrom(address owner, address to, uint256 ticket) external payable;
    function setApprovalForAll(address operator, bool approved) external;
    function settle(uint256 shares) external payable;
    function tail() external view returns (uint256);
    function tickets() external view returns (uint256);
    function transferFrom(address owner, address to, uint256 ticket) external payable;
}

interface IRebasing {
    function approve(address spender, uint256 amount) external returns (bool);
    function balanceOf(address owner) external view returns (uint256);
    function shares_of(address owner) external view returns (uint256);
    function stake(address receiver, uint256 minShares, address referral) external payable returns (uint256);
    function totalSupply() external view returns (uint256);
    function total_shares() external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address owner, address to, uint256 amount) external returns (bool);
    function transfer_shares(address to, uint256 shares) external returns (uint256);
    function transfer_shares_from(address owner, address to, uint256 shares) external returns (uint256);
    function unwrap(uint256 shares) external returns (uint256);
    function wrap(uint256 shares) external returns (uint256);
}

interface IVault {
    function sweep(uint256 amount) external;
}
