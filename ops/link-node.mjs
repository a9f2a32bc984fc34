/**
 * After the installation: links the Node.js that it brings, where npm 10 has taken the link away again together with the
 * packages for other systems, all of which claim it. Does nothing where npm has left it, and on Windows.
 */
import { existsSync, symlinkSync } from "node:fs";

const modules = new URL("../node_modules/", import.meta.url);
const packages = ["node", "node-bin"].map((name) => `${name}-${process.platform}-${process.arch}`);
const found = packages.find((name) => existsSync(new URL(`${name}/bin/node`, modules)));
const link = new URL(".bin/node", modules);
if (found && !existsSync(link)) symlinkSync(`../${found}/bin/node`, link);
