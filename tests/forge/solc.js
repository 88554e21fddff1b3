#!/usr/bin/env node
// solc for forge: the compiler that npm installed, behind the two options that forge uses.
const fs = require("fs");
const path = require("path");
const solc = require(path.resolve(__dirname, "../../node_modules/solc"));

if (process.argv.includes("--version")) {
  console.log("solc, the solidity compiler commandline interface");
  console.log("Version: " + solc.version().replace("Emscripten.clang", "Linux.g++"));
} else if (process.argv.includes("--standard-json")) {
  console.log(solc.compile(fs.readFileSync(0, "utf8")));
} else {
  console.error("solc.js: only --version and --standard-json");
  process.exit(1);
}
