// Re-execute a dumped chain with Lodestar's state transition, which shares no code with the consensus specs in Python.
//
//     node floe/devnet/judge.mjs FOLDER
//
// FOLDER holds config.json (what /eth/v1/config/spec says), genesis.ssz (a BeaconState), blocks/*.ssz (each a
// SignedBeaconBlock; names sort by slot) and, if wanted, states/SLOT.ssz (to name the fields of a root that differs).
// Every signature, the proposer, every rule of the state transition and the state root of every block are verified.
// The engine's verdict on a payload is taken as given: executing it is the execution client's part.
//
// Prints one JSON object: slot and root it came to, blocks, what they carried, and the first difference or null.
// Exit code: 0 all agree, 1 a difference, 2 the folder cannot be read.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const OFFSET_OF_STATE_SLOT = 40; // after genesis_time and genesis_validators_root
const OFFSET_OF_BLOCK_SLOT = 100; // after the message's offset and the signature
const OPERATIONS = [
  "proposerSlashings", "attesterSlashings", "attestations", "voluntaryExits", "blsToExecutionChanges",
];
const REQUESTS = ["deposits", "withdrawals", "consolidations"];
const slotAt = (bytes, offset) => Number(bytes.readBigUInt64LE(offset));
const hex = (bytes) => `0x${Buffer.from(bytes).toString("hex")}`;

async function judge(folder) {
  const json = JSON.parse(readFileSync(join(folder, "config.json")));
  // The preset must be chosen before Lodestar is loaded.
  process.env.LODESTAR_PRESET = json.PRESET_BASE;
  const lodestar = { ...(await import("@lodestar/config")), ...(await import("@lodestar/state-transition")) };

  const chainConfig = lodestar.createChainConfig(lodestar.chainConfigFromJson(json));
  const forks = lodestar.createChainForkConfig(chainConfig);
  const types = (slot) => forks.getForkTypes(slot);
  const genesis = readFileSync(join(folder, "genesis.ssz"));
  const anchor = types(slotAt(genesis, OFFSET_OF_STATE_SLOT)).BeaconState.deserializeToViewDU(genesis);
  const config = lodestar.createBeaconConfig(chainConfig, anchor.genesisValidatorsRoot);
  let state = lodestar.createCachedBeaconState(anchor, { config, pubkeyCache: lodestar.createPubkeyCache() });

  const carried = {};
  const count = (name, list) => (carried[name] = (carried[name] ?? 0) + list.length);
  const options = {
    executionPayloadStatus: lodestar.ExecutionPayloadStatus.valid,
    dataAvailabilityStatus: lodestar.DataAvailabilityStatus.Available,
    verifyProposer: true,
    verifySignatures: true,
    verifyStateRoot: false, // done below, to say where it differs
  };
  let blocks = 0;
  const verdict = (difference) => ({ slot: state.slot, root: hex(state.hashTreeRoot()), blocks, carried, difference });

  for (const name of readdirSync(join(folder, "blocks")).sort()) {
    const bytes = readFileSync(join(folder, "blocks", name));
    const slot = slotAt(bytes, OFFSET_OF_BLOCK_SLOT);
    let block;
    try {
      block = types(slot).SignedBeaconBlock.deserialize(bytes);
      state = lodestar.stateTransition(state, block, options);
    } catch (error) {
      return verdict({ block: name, what: error.message, fields: [] });
    }
    const root = state.hashTreeRoot();
    if (hex(root) !== hex(block.message.stateRoot)) {
      const what = `state root ${hex(root)}, the block says ${hex(block.message.stateRoot)}`;
      return verdict({ block: name, what, fields: differingFields(folder, slot, types(slot).BeaconState, state) });
    }
    blocks += 1;
    const { body } = block.message;
    for (const list of OPERATIONS) count(list, body[list]);
    for (const list of REQUESTS) count(`${list}Requests`, body.executionRequests[list]);
    count("withdrawals", body.executionPayload.withdrawals);
    count("transactions", body.executionPayload.transactions);
  }
  if (blocks === 0) throw Error("no blocks");
  return verdict(null);
}

/** Names of the fields whose roots differ from the dumped state's; empty when that state was not dumped. */
function differingFields(folder, slot, type, state) {
  const path = join(folder, "states", `${slot}.ssz`);
  if (!existsSync(path)) return [];
  const [ours, theirs] = [state.toValue(), type.deserialize(readFileSync(path))];
  return Object.entries(type.fields)
    .filter(([name, field]) => hex(field.hashTreeRoot(ours[name])) !== hex(field.hashTreeRoot(theirs[name])))
    .map(([name]) => name);
}

try {
  const verdict = await judge(process.argv[2]);
  console.log(JSON.stringify(verdict));
  process.exitCode = verdict.difference === null ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
