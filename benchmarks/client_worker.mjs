// Runs `.tflite` files in a client whose WebAssembly needs no browser but a way to load its script; benchmarks.clients
// starts it: node client_worker.mjs CLIENT JOB.json ANSWERS.json, in a folder with node_modules.
import fs from "fs";
import { createRequire } from "module";
import path from "path";
import vm from "vm";

const [client, job, answers] = [process.argv[2], JSON.parse(fs.readFileSync(process.argv[3])), process.argv[4]];
const require = createRequire(path.resolve("package.json"));
const run = (url) => vm.runInThisContext(fs.readFileSync(`${url}`.replace("file://", ""), "utf8"));

// Each gives what opens a file: whether that takes floats, and a function from an image to its raw scores.
const clients = {
  async litertjs() {
    const wasm = path.resolve("node_modules/@litertjs/core/wasm");
    Object.assign(globalThis, {
      __dirname: wasm,
      __filename: path.join(wasm, "litert.js"),
      importScripts: run,
      require: createRequire(import.meta.url),
      self: globalThis,
    });
    const core = await import(require.resolve("@litertjs/core"));
    await core.loadLiteRt(`${wasm}/`);
    return async (data, shape) => {
      const model = await core.loadAndCompile(data, { accelerator: "wasm" });
      const scores = async (image) => {
        const input = new core.Tensor(image, shape);
        const [output] = await model.run([input]);
        const values = Array.from(output.toTypedArray());
        input.delete();
        output.delete();
        return values;
      };
      return [model.getInputDetails()[0].dtype === "float32", scores];
    };
  },

  async tfjs_tflite() {
    const wasm = path.resolve("node_modules/@tensorflow/tfjs-tflite/wasm");
    const headers = { "Content-Type": "application/wasm" };
    Object.assign(globalThis, {
      // Without it the client takes no threads, which would be workers of a browser.
      MessageChannel: undefined,
      fetch: async (file) => new Response(fs.readFileSync(file), { headers }),
      importScripts: run,
      location: { origin: "", href: "" },
      self: globalThis,
    });
    // Node has its own from version 21 on.
    globalThis.navigator ??= { hardwareConcurrency: 1, userAgent: "" };
    const tf = require("@tensorflow/tfjs-core");
    require("@tensorflow/tfjs-backend-cpu");
    const tflite = require("@tensorflow/tfjs-tflite");
    tflite.setWasmPath(`${wasm}/`);
    return async (data, shape) => {
      const model = await tflite.loadTFLiteModel(data.buffer);
      const type = model.inputs[0].dtype;
      const scores = async (image) => {
        const input = tf.tensor(image, shape, type);
        const output = model.predict(input);
        const values = Array.from(await output.data());
        tf.dispose([input, output]);
        return values;
      };
      return [type === "float32", scores];
    };
  },
};

const open = await clients[client]();
const pixels = new Uint8Array(fs.readFileSync(job.pixels));
const [count, ...shape] = job.shape;
const size = shape.reduce((a, b) => a * b);
const found = {};
for (const [name, file] of Object.entries(job.files)) {
  try {
    const [isFloat, scores] = await open(new Uint8Array(fs.readFileSync(file)), [1, ...shape]);
    const [scale, zeroPoint] = job.quantization[name];
    found[name] = [];
    for (let place = 0; place < count; place++) {
      const raw = pixels.slice(place * size, (place + 1) * size);
      const values = await scores(isFloat ? Float32Array.from(raw, (pixel) => (pixel - 128) / 128) : raw);
      found[name].push(values.map((value) => (value - zeroPoint) * scale));
    }
    console.log(JSON.stringify({ file: name }));
  } catch (error) {
    delete found[name];
    console.log(JSON.stringify({ file: name, refused: `${error}`.slice(0, 300) }));
  }
}
fs.writeFileSync(answers, JSON.stringify(found));
process.exit(0);
