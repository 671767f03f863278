;; trap: says why on stderr and traps. Build: wat2wasm plugin.wat -o plugin.wasm
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "first line\0apanicked at check.rs:7\0a")
  (data (i32.const 96) "\10\00\00\00\22\00\00\00")
  (func (export "run_check")
    (drop (call $fd_write (i32.const 2) (i32.const 96) (i32.const 1) (i32.const 104)))
    (unreachable)))
