;; import-memory: wants the host to own its memory. It must not load.
(module
  (import "env" "memory" (memory 1))
  (func (export "run_check")))
