;; loop: never ends by itself. Build: wat2wasm plugin.wat -o plugin.wasm
(module
  (func (export "run_check") (loop $again (br $again))))
