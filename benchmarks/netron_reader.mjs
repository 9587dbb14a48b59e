// What Netron shows of a model file, by its own code without its window: node netron_reader.mjs NETRON_FOLDER FILE, where
// the folder is that of the package from PyPI. Prints one line of JSON, or ends with Netron's error.
import fs from "fs";
import path from "path";
import { pathToFileURL } from "url";

const [folder, file] = process.argv.slice(2);
const module = (id) => import(pathToFileURL(path.resolve(folder, `${id.replace("./", "")}.js`)));
const [view, base] = [await module("view"), await module("base")];
const asset = (name) => fs.promises.readFile(path.join(folder, name), "utf8");
const raise = (error) => {
  throw error;
};
const host = { asset, environment: () => null, event: () => {}, exception: raise, require: module, type: "Test" };
const context = {
  asset,
  entries: new Map(),
  error: raise,
  identifier: path.basename(file),
  require: module,
  stream: new base.BinaryStream(new Uint8Array(fs.readFileSync(file))),
};
const model = await new view.ModelFactoryService(host).open(context);
const [graph] = model.modules;
const tensor = (argument) => ({
  name: argument.name,
  types: argument.value.map((value) => `${value.type}`),
  kind: argument.value.map((value) => value.type.denotation ?? ""),
});
console.log(
  JSON.stringify({
    format: model.format,
    name: model.name,
    description: model.description,
    runtime: model.runtime,
    metadata: model.metadata.map((argument) => argument.name),
    inputs: graph.inputs.map(tensor),
    outputs: graph.outputs.map(tensor),
    signatures: graph.signatures.map((signature) => signature.name),
    operations: graph.nodes.map((node) => node.type.name),
  }),
);
process.exit(0);
