/**
 * Stands where ONNX Runtime expects its Emscripten module, loads that module and shows it to `kept` (ort-build.ts) on the
 * way: the text engine keeps key-value caches in the runtime's own heap, which the public interface cannot. Served as it is
 * and imported by its address; `tabgridOrtModule` says which module to load.
 */
export default async function instantiate(config) {
  const { url, kept } = globalThis.tabgridOrtModule;
  const { default: factory } = await import(/* @vite-ignore */ url);
  const module = await factory(config);
  kept(module);
  return module;
}
