// The published client of Improv (npm: improv-wifi-serial-sdk) against a board on its stdin and stdout.
// node improv_client.mjs PATH_TO/dist/serial.js BOARD
import { spawn } from "node:child_process";
import { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const [sdk, program] = process.argv.slice(2);
const { ImprovSerial } = await import(pathToFileURL(sdk));
const board = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
const port = { readable: Readable.toWeb(board.stdout), writable: Writable.toWeb(board.stdin) };
const quiet = { log() {}, error: console.error, debug() {} };
const improv = new ImprovSerial(port, quiet);

const info = await improv.initialize(5000);
const networks = await improv.scan(5000);
const refused = await improv.provision("House", "wrong", 5000).then(() => "joined", String);
await improv.provision("House", "correct horse", 5000);
await improv.requestCurrentState(5000);
const hostname = await improv.getHostname(5000).catch(String);
console.log(JSON.stringify({ info, networks, refused, state: improv.state, url: improv.nextUrl, hostname }));
board.kill();
process.exit(0);
