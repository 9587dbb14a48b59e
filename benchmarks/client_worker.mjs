// Runs `.tflite` files in LiteRT.js, whose WebAssembly needs no browser but a way to load a script; benchmarks.clients
// starts it: node client_worker.mjs JOB.json ANSWERS.json, in a folder with node_modules.
import fs from "fs";
import { createRequire } from "module";
import path from "path";
import vm from "vm";

const [job, answers] = [JSON.parse(fs.readFileSync(process.argv[2])), process.argv[3]];
const wasm = path.resolve("node_modules/@litertjs/core/wasm");
Object.assign(globalThis, {
  __dirname: wasm,
  __filename: path.join(wasm, "litert.js"),
  importScripts: (url) => vm.runInThisContext(fs.readFileSync(`${url}`.replace("file://", ""), "utf8")),
  require: createRequire(import.meta.url),
  self: globalThis,
});
const core = await import(createRequire(path.resolve("package.json")).resolve("@litertjs/core"));
await core.loadLiteRt(`${wasm}/`);

const pixels = new Uint8Array(fs.readFileSync(job.pixels));
const [count, ...shape] = job.shape;
const size = shape.reduce((a, b) => a * b);
const scores = {};
for (const [name, file] of Object.entries(job.files)) {
  try {
    const model = await core.loadAndCompile(new Uint8Array(fs.readFileSync(file)), { accelerator: "wasm" });
    const isFloat = model.getInputDetails()[0].dtype === "float32";
    scores[name] = [];
    for (let place = 0; place < count; place++) {
      const raw = pixels.slice(place * size, (place + 1) * size);
      const image = isFloat ? Float32Array.from(raw, (pixel) => (pixel - 128) / 128) : raw;
      const input = new core.Tensor(image, [1, ...shape]);
      const [output] = await model.run([input]);
      const [scale, zeroPoint] = job.quantization[name];
      scores[name].push(Array.from(output.toTypedArray(), (value) => (value - zeroPoint) * scale));
      input.delete();
      output.delete();
    }
    console.log(JSON.stringify({ file: name }));
  } catch (error) {
    delete scores[name];
    console.log(JSON.stringify({ file: name, refused: `${error}`.slice(0, 300) }));
  }
}
fs.writeFileSync(answers, JSON.stringify(scores));
process.exit(0);
