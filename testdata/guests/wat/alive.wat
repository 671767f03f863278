;; alive: submits OK. The smallest check there is.
(module
  (import "env" "submit_result" (func $submit_result (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"status\":\"OK\",\"summary\":\"alive\"}")
  (func (export "run_check")
    (drop (call $submit_result (i32.const 16) (i32.const 33)))))
